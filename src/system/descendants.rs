//! What a process has started, directly or not: a credential plugin may be a script that starts others.

/// Ends a process that this one has started, and all that it started in turn.
pub(crate) fn kill(ancestor: u32) {
    for pid in of(ancestor, &parents()).into_iter().chain([ancestor]) {
        if let Some(pid) = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw) {
            // It may have ended by itself.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }
}

/// Each process with its parent: from /proc, or from `ps` where there is none.
fn parents() -> Vec<(u32, u32)> {
    let Ok(processes) = std::fs::read_dir("/proc/self/..") else {
        let listed = std::process::Command::new("ps").args(["-A", "-o", "pid=,ppid="]).output();
        let text = listed.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        return text.lines().filter_map(pair).collect();
    };
    let pids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    pids.filter_map(|pid| Some((pid, parent(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?))).collect()
}

/// The parent in a line of `/proc/PID/stat`: `PID (NAME) STATE PPID …`, where the name may have brackets and blanks.
fn parent(stat: &str) -> Option<u32> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

fn pair(line: &str) -> Option<(u32, u32)> {
    let mut words = line.split_whitespace();
    Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
}

/// The descendants of a process, parents before their children.
fn of(ancestor: u32, parents: &[(u32, u32)]) -> Vec<u32> {
    let mut found = vec![ancestor];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        found.extend(parents.iter().filter(|(_, own)| *own == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    found.split_off(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_children_of_children() {
        let parents = [(2, 1), (3, 2), (4, 3), (5, 1), (6, 5)];
        assert_eq!(of(2, &parents), [3, 4]);
        assert_eq!(of(1, &parents), [2, 5, 3, 6, 4]);
        assert_eq!(of(4, &parents), Vec::<u32>::new());
        assert_eq!(parent("12 (a) b) c) S 7 12 12"), Some(7));
        assert_eq!(pair("  12   7"), Some((12, 7)));
    }

    #[test]
    fn sees_its_own_child() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("a process");
        assert!(of(std::process::id(), &parents()).contains(&child.id()));
        child.kill().expect("ended");
        child.wait().expect("gone");
    }
}
