// Command recorder asks Istio's own control plane what clusters the proxies of a mesh get, and with which connect
// timeouts: recorder CASES > ANSWERED, both JSON lines; ANSWERED is the cases with `answer` added, which is the form of
// tests/fixtures/conformance.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	"istio.io/istio/pkg/log"
)

func main() {
	if err := record(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "recorder:", err)
		os.Exit(1)
	}
}

func record(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("usage: recorder CASES > ANSWERED")
	}
	// Istio's logger writes to stdout unless told otherwise.
	quiet := log.DefaultOptions()
	quiet.OutputPaths = []string{"stderr"}
	quiet.SetDefaultOutputLevel(log.OverrideScopeName, log.ErrorLevel)
	if err := log.Configure(quiet); err != nil {
		return err
	}
	source, err := os.Open(args[0])
	if err != nil {
		return err
	}
	defer source.Close()
	encoder := json.NewEncoder(os.Stdout)
	lines := bufio.NewScanner(source)
	lines.Buffer(make([]byte, 1<<20), 1<<28)
	for number := 1; lines.Scan(); number++ {
		if len(lines.Bytes()) == 0 {
			continue
		}
		var c Case
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			return fmt.Errorf("line %d: %w", number, err)
		}
		// What the recorder does not know, such as `origins`, is handed on.
		whole := map[string]json.RawMessage{}
		if err := json.Unmarshal(lines.Bytes(), &whole); err != nil {
			return fmt.Errorf("line %d: %w", number, err)
		}
		answer, err := json.Marshal(ask(c))
		if err != nil {
			return err
		}
		whole["answer"] = answer
		if err := encoder.Encode(whole); err != nil {
			return err
		}
	}
	return lines.Err()
}
