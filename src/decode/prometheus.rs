//! The answer of Prometheus' range query (`/api/v1/query_range`, the HTTP API's JSON).

use std::collections::BTreeMap;

use serde::Deserialize;

use super::parse_error;

/// One series of a matrix.
#[derive(Clone, Debug, PartialEq)]
pub struct PrometheusSeries {
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Second and value, in order of time; values that are no finite number are left out.
    pub points: Vec<(i64, f64)>,
}

/// Why an answer could not be used.
#[derive(Debug, thiserror::Error)]
pub enum PrometheusDecodeError {
    /// It is not Prometheus' JSON.
    #[error("the answer is not one of Prometheus' HTTP API: {0}")]
    NotPrometheus(String),
    /// Prometheus says what is wrong.
    #[error("{kind}: {message}")]
    Refused {
        /// Its `errorType`: `bad_data`, `execution`, `timeout`, …
        kind: String,
        /// Its `error`.
        message: String,
    },
    /// A query that gives something else.
    #[error("the answer is a {0}, not a matrix")]
    NotMatrix(String),
}

/// An answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Matrix {
    /// Its series.
    pub series: Vec<PrometheusSeries>,
    /// What it says of itself: that a store or a replica did not answer (Thanos, Mimir), that results were cut off.
    pub warnings: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    status: String,
    #[serde(default)]
    data: Option<Data>,
    #[serde(default)]
    error_type: String,
    #[serde(default)]
    error: String,
    #[serde(default)]
    warnings: Vec<String>,
    /// VictoriaMetrics' cluster: some storage nodes did not answer.
    #[serde(default)]
    is_partial: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    result_type: String,
    #[serde(default)]
    result: Vec<Series>,
}

#[derive(Deserialize)]
struct Series {
    #[serde(default)]
    metric: BTreeMap<String, String>,
    #[serde(default)]
    values: Vec<(f64, String)>,
    #[serde(default)]
    value: Option<(f64, String)>,
}

/// Reads the answer of a range query.
///
/// # Errors
/// When the bytes are no such answer, or the answer is an error.
pub fn matrix(body: &[u8]) -> Result<Matrix, PrometheusDecodeError> {
    let answer: Answer = serde_json::from_slice(body)
        .map_err(|error| PrometheusDecodeError::NotPrometheus(parse_error::json(&error)))?;
    let Some(data) = answer.data.filter(|_| answer.status == "success") else {
        return Err(PrometheusDecodeError::Refused { kind: answer.error_type, message: answer.error });
    };
    let mut warnings = answer.warnings;
    if answer.is_partial {
        warnings.push("the answer is partial (isPartial)".to_owned());
    }
    if !matches!(data.result_type.as_str(), "matrix" | "vector") {
        return Err(PrometheusDecodeError::NotMatrix(data.result_type));
    }
    let series = data
        .result
        .into_iter()
        .map(|series| PrometheusSeries {
            labels: series.metric,
            points: series
                .values
                .into_iter()
                .chain(series.value)
                .filter_map(|(second, value)| {
                    let second = second.round() as i64;
                    Some((second, value.parse().ok().filter(|value: &f64| value.is_finite())?))
                })
                .collect(),
        })
        .collect();
    Ok(Matrix { series, warnings })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn a_matrix_is_read() {
        let body = br#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"source_workload":"pay"},"values":[[1594238400,"3"],[1594242000.001,"NaN"],[1594245600,"4.5"]]}]},"warnings":["x"]}"#;
        let Matrix { series, warnings } = matrix(body).unwrap();
        assert_eq!(warnings, ["x"]);
        assert_eq!(series[0].labels["source_workload"], "pay");
        assert_eq!(series[0].points, [(1_594_238_400, 3.0), (1_594_245_600, 4.5)]);
    }

    #[test]
    fn what_went_wrong_is_said() {
        for (body, message) in [
            (&br#"{"status":"error","errorType":"bad_data","error":"parse error"}"#[..], "bad_data: parse error"),
            (
                br#"{"status":"success","data":{"resultType":"scalar","result":[]}}"#,
                "the answer is a scalar, not a matrix",
            ),
            (b"<html>", "the answer is not one of Prometheus' HTTP API: expected value at line 1 column 1"),
            (
                br#"{"status":"success","data":{"resultType":"matrix","result":"SECRET"}}"#,
                "the answer is not one of Prometheus' HTTP API: this is not what should stand here at line 1 column 67",
            ),
        ] {
            assert_eq!(matrix(body).unwrap_err().to_string(), message);
        }
    }
}
