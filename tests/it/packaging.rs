//! What a release hands out and what is applied to a cluster: archives, krew's manifest, Kubernetes objects.

use std::collections::BTreeSet;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::CronJob;
use k8s_openapi::api::core::v1::{Namespace, Service, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use meshaudit_sandbox::wheel;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{incident, project};

fn kubectl(args: &[&str]) -> String {
    let output = Command::new(wheel::KUBECTL.program().unwrap())
        .args(args)
        .current_dir(project())
        .env("KUBECONFIG", incident().kubeconfig())
        .env("KUBECACHEDIR", incident().directory().join("packaging-cache"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Holds that the API's own type knows every field.
fn knows<T: DeserializeOwned + Serialize>(object: &Value) {
    let typed: T = serde_json::from_value(object.clone()).unwrap();
    assert_eq!(without_empty(&serde_json::to_value(typed).unwrap()), without_empty(object));
}

fn without_empty(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(_, value)| !matches!(value, Value::Null));
            Value::Object(kept.map(|(name, value)| (name.clone(), without_empty(value))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(without_empty).collect()),
        other => other.clone(),
    }
}

#[test]
fn the_manifests_are_kubernetes_own_and_a_cluster_takes_them() {
    for folder in ["cronjob", "serve"] {
        let place = format!("packaging/kubernetes/{folder}");
        let text = kubectl(&["kustomize", &place]);
        let objects: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
        assert!(objects.len() > 6, "{text}");
        for object in &objects {
            match object["kind"].as_str().unwrap() {
                "Namespace" => knows::<Namespace>(object),
                "ServiceAccount" => knows::<ServiceAccount>(object),
                "Service" => knows::<Service>(object),
                "Deployment" => knows::<Deployment>(object),
                "CronJob" => knows::<CronJob>(object),
                "Role" => knows::<Role>(object),
                "RoleBinding" => knows::<RoleBinding>(object),
                "ClusterRole" => knows::<ClusterRole>(object),
                "ClusterRoleBinding" => knows::<ClusterRoleBinding>(object),
                other => panic!("{other} is not checked"),
            }
            let cluster_wide = ["Namespace", "ClusterRole", "ClusterRoleBinding"];
            let everywhere = cluster_wide.contains(&object["kind"].as_str().unwrap());
            assert!(everywhere || object["metadata"]["namespace"].is_string(), "{object}");
            for role in ["Role", "ClusterRole"].iter().filter(|role| object["kind"] == **role) {
                let verbs =
                    object["rules"].as_array().unwrap().iter().flat_map(|rule| rule["verbs"].as_array().unwrap());
                // A port-forward is a create; nothing else is more than reading.
                assert!(
                    verbs.clone().all(|verb| ["get", "list", "create"].contains(&verb.as_str().unwrap())),
                    "{role}"
                );
                assert!(!object.to_string().contains("secrets"), "{role}");
            }
        }
        let applied = kubectl(&["apply", "--dry-run=server", "--validate=false", "-k", &place]);
        assert_eq!(
            applied.lines().filter(|line| line.ends_with("(server dry run)")).count(),
            objects.len(),
            "{applied}"
        );
    }
}

/// The arguments in the manifests are ones that the program takes.
#[test]
fn the_manifests_arguments_are_taken() {
    for (folder, command) in [("cronjob", "timeouts"), ("serve", "serve")] {
        let text = kubectl(&["kustomize", &format!("packaging/kubernetes/{folder}")]);
        let objects: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
        let pods = objects.iter().filter_map(|object| {
            let spec = &object["spec"];
            [&spec["jobTemplate"]["spec"]["template"], &spec["template"]].into_iter().find(|pod| pod.is_object())
        });
        for pod in pods {
            let args = pod["spec"]["containers"][0]["args"].as_array().unwrap();
            let args: Vec<&str> = args.iter().map(|arg| arg.as_str().unwrap()).collect();
            assert_eq!(args[0], command);
            // Help is printed only where everything before it was understood.
            crate::plugin(args.iter().chain(&["--help"])).run().exits(0);
        }
    }
}

fn release(dist: &Path, args: &[&str]) {
    let output = Command::new(project().join("packaging/release")).args(args).env("DIST", dist).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

const TARGETS: [(&str, &str, &str); 5] = [
    ("x86_64-unknown-linux-musl", "linux", "amd64"),
    ("aarch64-unknown-linux-musl", "linux", "arm64"),
    ("x86_64-apple-darwin", "darwin", "amd64"),
    ("aarch64-apple-darwin", "darwin", "arm64"),
    ("x86_64-pc-windows-msvc", "windows", "amd64"),
];

/// krew's rules: `pkg/index/validation/validate.go` and `internal/installation` of kubernetes-sigs/krew.
#[test]
fn krew_installs_what_a_release_makes() {
    let directory = tempfile::tempdir().unwrap();
    let dist = directory.path().join("dist");
    for (target, os, _) in TARGETS {
        // This machine's is the real one; of the others the layout is what counts.
        let name = if os == "windows" { "kubectl-meshaudit.exe" } else { "kubectl-meshaudit" };
        let binary = directory.path().join(name);
        if target == "x86_64-unknown-linux-musl" {
            let script = format!("#!/bin/sh\nexec {} \"$@\"\n", env!("CARGO_BIN_EXE_kubectl-meshaudit"));
            std::fs::write(&binary, script).unwrap();
        } else {
            std::fs::write(&binary, target).unwrap();
        }
        std::fs::set_permissions(&binary, std::fs::Permissions::from_mode(0o755)).unwrap();
        release(&dist, &["archive", target, binary.to_str().unwrap()]);
    }
    release(&dist, &["manifests", "https://example.com/v/"]);
    let text = std::fs::read_to_string(dist.join("meshaudit.yaml")).unwrap();
    let manifest: Value = serde_saphyr::from_str(&text).unwrap();
    // The file is called as the plugin, whose name has lower case letters, digits and hyphens.
    assert_eq!((&manifest["kind"], &manifest["metadata"]["name"]), (&"Plugin".into(), &"meshaudit".into()));
    assert_eq!(manifest["apiVersion"], "krew.googlecontainertools.github.com/v1alpha2");
    assert_eq!(manifest["spec"]["version"], concat!("v", env!("CARGO_PKG_VERSION")));
    assert_eq!(manifest["spec"]["homepage"], env!("CARGO_PKG_HOMEPAGE"));
    let short = manifest["spec"]["shortDescription"].as_str().unwrap();
    assert!(!short.is_empty() && short.len() <= 50 && !short.contains('\n'), "{short}");
    let platforms = manifest["spec"]["platforms"].as_array().unwrap();
    let of = |platform: &Value, key: &str| platform["selector"]["matchLabels"][key].as_str().unwrap().to_owned();
    let found: BTreeSet<(String, String)> = platforms.iter().map(|one| (of(one, "os"), of(one, "arch"))).collect();
    let wanted = TARGETS.iter().map(|(_, os, arch)| ((*os).to_owned(), (*arch).to_owned())).collect();
    assert_eq!(found, wanted);
    for platform in platforms {
        let uri = platform["uri"].as_str().unwrap();
        let archive = dist.join(uri.strip_prefix("https://example.com/v/").unwrap());
        let sum = Command::new("sha256sum").arg(&archive).output().unwrap().stdout;
        assert!(String::from_utf8(sum).unwrap().starts_with(platform["sha256"].as_str().unwrap()), "{uri}");
        let place = tempfile::tempdir().unwrap();
        let windows = of(platform, "os") == "windows";
        let unpack = if windows { ["unzip", "-q"] } else { ["tar", "-xzf"] };
        assert!(Command::new(unpack[0]).arg(unpack[1]).arg(&archive).current_dir(&place).status().unwrap().success());
        let installed = tempfile::tempdir().unwrap();
        for file in platform["files"].as_array().unwrap() {
            let (from, to) = (file["from"].as_str().unwrap(), file["to"].as_str().unwrap());
            assert_eq!(to, ".");
            let source = place.path().join(from);
            std::fs::copy(&source, installed.path().join(source.file_name().unwrap())).expect(from);
        }
        let bin = platform["bin"].as_str().unwrap();
        assert_eq!(bin.ends_with(".exe"), windows, "krew wants it so on Windows");
        let program = installed.path().join(bin);
        assert_ne!(std::fs::metadata(&program).unwrap().permissions().mode() & 0o111, 0, "{uri}");
        if of(platform, "os") == "linux" && of(platform, "arch") == "amd64" {
            let said = Command::new(&program).args(["version", "--client"]).output().unwrap();
            assert!(String::from_utf8_lossy(&said.stdout).contains(env!("CARGO_PKG_VERSION")));
        }
    }
    // What is linked in has its licence beside it.
    let place = dist.join(format!("kubectl-meshaudit-v{}-x86_64-unknown-linux-musl.tar.gz", env!("CARGO_PKG_VERSION")));
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(std::fs::File::open(place).unwrap()));
    let mut licenses = String::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        if entry.path().unwrap().ends_with("THIRD-PARTY-LICENSES") {
            entry.read_to_string(&mut licenses).unwrap();
        }
    }
    for wanted in ["==== rustls ", "==== kube ", "Permission is hereby granted"] {
        assert!(licenses.contains(wanted), "{wanted}");
    }
    let formula = std::fs::read_to_string(dist.join("kubectl-meshaudit.rb")).unwrap();
    assert_eq!(formula.matches("sha256 \"").count(), 4, "Windows has no Homebrew: {formula}");
    assert!(formula.contains(&format!("\n  homepage \"{}\"\n", env!("CARGO_PKG_HOMEPAGE"))), "{formula}");
    // Unless told otherwise, it is all of the repository that Cargo.toml names.
    release(&dist, &["manifests"]);
    let release = concat!(
        env!("CARGO_PKG_REPOSITORY"),
        "/releases/download/v",
        env!("CARGO_PKG_VERSION"),
        "/kubectl-meshaudit-v"
    );
    for (file, count) in [("meshaudit.yaml", 5), ("kubectl-meshaudit.rb", 4)] {
        let text = std::fs::read_to_string(dist.join(file)).unwrap();
        assert_eq!(text.matches(release).count(), count, "{text}");
    }
}

/// One address, in one place: what needs it takes it from Cargo.toml.
/// What Kubernetes runs, made by a builder of images, where there is one and it may mount what it made.
#[test]
fn an_image_is_the_binary_alone_and_runs_as_nobody() {
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n");
    if !is_root || Command::new("buildah").arg("--version").output().is_err() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("kubectl-meshaudit"), "a binary").unwrap();
    let (root, runroot) = (place.path().join("root"), place.path().join("run"));
    let buildah = |args: &[&str]| {
        let mut command = Command::new("buildah");
        command.args(["--storage-driver", "vfs", "--root"]).arg(&root).arg("--runroot").arg(&runroot);
        let output = command.args(args).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let recipe = project().join("packaging/Containerfile");
    let (recipe, context) = (recipe.to_str().unwrap(), place.path().to_str().unwrap());
    let build = ["bud", "--isolation", "chroot", "-q", "--build-arg", "BINARY=kubectl-meshaudit", "-f", recipe];
    let image = buildah(&[&build[..], &[context]].concat());
    let made: Value = serde_json::from_str(&buildah(&["inspect", "--type", "image", &image])).unwrap();
    let config = &made["OCIv1"]["config"];
    assert_eq!(config["User"], "65532:65532", "{config}");
    assert_eq!(config["Entrypoint"], serde_json::json!(["/kubectl-meshaudit"]), "{config}");
    let container = buildah(&["from", &image]);
    let mounted = buildah(&["mount", &container]);
    let files: Vec<_> = std::fs::read_dir(&mounted).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    buildah(&["rm", &container]);
    assert_eq!(files, ["kubectl-meshaudit"], "no shell and nothing else");
}

#[test]
fn the_address_of_the_project_is_the_same_everywhere() {
    assert!(env!("CARGO_PKG_REPOSITORY").starts_with("https://"));
    let own = regex::Regex::new(r"https://[a-z.]+/[\w.-]+/kubectl-meshaudit\b").unwrap();
    let listed = Command::new("git").args(["ls-files"]).current_dir(project()).output().unwrap();
    for file in String::from_utf8(listed.stdout).unwrap().lines() {
        let Ok(text) = std::fs::read_to_string(project().join(file)) else { continue };
        for found in own.find_iter(&text) {
            assert_eq!(found.as_str(), env!("CARGO_PKG_REPOSITORY"), "{file}");
        }
    }
}
