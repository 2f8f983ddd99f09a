//! Which commit a release was built from, for `version`. A development build says only that it is one, so that a
//! commit does not rebuild everything.

use std::process::Command;

fn main() {
    println!("cargo:rerun-if-env-changed=MESHAUDIT_COMMIT");
    println!("cargo:rerun-if-env-changed=MESHAUDIT_DATE");
    println!("cargo:rerun-if-changed=build.rs");
    let release = std::env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let git = |args: &[&str]| {
        let output = Command::new("git").args(args).output().ok().filter(|output| output.status.success())?;
        let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
        (!text.is_empty()).then_some(text)
    };
    // A package from a registry has no history, but says which commit it is from.
    let from = |name: &str, args: &[&str]| std::env::var(name).ok().or_else(|| if release { git(args) } else { None });
    if release {
        // The reflog changes with every commit and checkout; HEAD itself only names the branch.
        for file in ["HEAD", "logs/HEAD"] {
            if let Some(path) =
                git(&["rev-parse", "--git-path", file]).filter(|path| std::path::Path::new(path).exists())
            {
                println!("cargo:rerun-if-changed={path}");
            }
        }
    }
    let commit = from("MESHAUDIT_COMMIT", &["rev-parse", "--short=12", "HEAD"]);
    let date = from("MESHAUDIT_DATE", &["show", "-s", "--format=%cs", "HEAD"]);
    let build = match (&commit, &date) {
        (Some(commit), Some(date)) => format!("{commit}, {date}"),
        (Some(commit), None) => commit.clone(),
        _ => "development build".to_owned(),
    };
    println!("cargo:rustc-env=MESHAUDIT_COMMIT={}", commit.unwrap_or_default());
    println!("cargo:rustc-env=MESHAUDIT_DATE={}", date.unwrap_or_default());
    println!("cargo:rustc-env=MESHAUDIT_BUILD={build}");
}
