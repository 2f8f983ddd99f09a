//! What a pod's name tells of its workload.

/// The workload that a pod's name tells: `checkout-7d9f8b6c5d-x2x4z` and `checkout-0` are `checkout`.
#[must_use]
pub fn workload_of_pod(pod: &str) -> &str {
    // Kubernetes' names avoid vowels and 0, 1, 3 in what it makes up (apimachinery's rand package).
    let made_up = |part: &str| part.bytes().all(|byte| b"bcdfghjklmnpqrstvwxz2456789".contains(&byte));
    if let Some((rest, last)) = pod.rsplit_once('-') {
        if !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit()) {
            return rest;
        }
        if last.len() == 5 && made_up(last) {
            return match rest.rsplit_once('-') {
                Some((workload, hash)) if (6..=10).contains(&hash.len()) && made_up(hash) => workload,
                _ => rest,
            };
        }
    }
    pod
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workloads_are_read_from_pods() {
        for (pod, workload) in [
            ("pay-7d9f8b6c5d-x2x4z", "pay"),
            ("db-0", "db"),
            ("job-x2x4z", "job"),
            ("plain", "plain"),
            ("two-words", "two-words"),
        ] {
            assert_eq!(workload_of_pod(pod), workload);
        }
    }
}
