// Command schema prints the fields of Istio's MeshConfig and of every message it can hold, one a line, for
// src/decode/istio/mesh_config.schema: go run . > ../../../src/decode/istio/mesh_config.schema
package main

import (
	"fmt"
	"sort"

	"google.golang.org/protobuf/reflect/protoreflect"

	meshconfig "istio.io/api/mesh/v1alpha1"
)

var seen = map[protoreflect.FullName]bool{}
var enums = map[protoreflect.FullName]protoreflect.EnumDescriptor{}

func kindOf(f protoreflect.FieldDescriptor) string {
	switch f.Kind() {
	case protoreflect.MessageKind:
		return string(f.Message().FullName())
	case protoreflect.EnumKind:
		enums[f.Enum().FullName()] = f.Enum()
		return string(f.Enum().FullName())
	}
	return f.Kind().String()
}

func walk(m protoreflect.MessageDescriptor) {
	if seen[m.FullName()] {
		return
	}
	seen[m.FullName()] = true
	switch m.FullName() {
	case "google.protobuf.Duration", "google.protobuf.Struct", "google.protobuf.Value", "google.protobuf.ListValue", "google.protobuf.BoolValue", "google.protobuf.Int32Value", "google.protobuf.UInt32Value", "google.protobuf.Int64Value", "google.protobuf.UInt64Value", "google.protobuf.DoubleValue", "google.protobuf.FloatValue", "google.protobuf.StringValue", "google.protobuf.BytesValue", "google.protobuf.Timestamp", "google.protobuf.Any":
		return
	}
	fmt.Println("message", m.FullName())
	fields := m.Fields()
	for i := 0; i < fields.Len(); i++ {
		f := fields.Get(i)
		t := ""
		if f.IsMap() {
			t = "map " + kindOf(f.MapValue())
		} else if f.IsList() {
			t = "list " + kindOf(f)
		} else {
			t = kindOf(f)
		}
		fmt.Println("  "+f.JSONName(), f.Name(), t)
	}
	for i := 0; i < fields.Len(); i++ {
		f := fields.Get(i)
		if f.IsMap() {
			f = f.MapValue()
		}
		if f.Kind() == protoreflect.MessageKind {
			walk(f.Message())
		}
	}
}

func main() {
	fmt.Println("# Fields of istio.mesh.v1alpha1.MeshConfig (Istio 1.31): JSON name, proto name, type. Written by tests/conformance/schema.")
	walk((&meshconfig.MeshConfig{}).ProtoReflect().Descriptor())
	var names []string
	for n := range enums {
		names = append(names, string(n))
	}
	sort.Strings(names)
	for _, n := range names {
		fmt.Print("enum ", n)
		v := enums[protoreflect.FullName(n)].Values()
		for i := 0; i < v.Len(); i++ {
			fmt.Printf(" %s=%d", v.Get(i).Name(), v.Get(i).Number())
		}
		fmt.Println()
	}
}
