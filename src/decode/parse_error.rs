//! What may be shown of a parser's error: the place and the cause, and never the text around it or a value out of it.
//! Configurations hold tokens and keys, and a parser quotes whatever stands where something else should.

use serde_saphyr::Error as YamlError;

/// What is wrong with a YAML document, and where.
#[must_use]
pub fn yaml(error: &YamlError) -> String {
    let error = error.without_snippet();
    let cause = yaml_cause(error);
    match error.location().filter(|place| place.line() > 0) {
        Some(place) => format!("line {}, column {}: {cause}", place.line(), place.column()),
        None => cause,
    }
}

fn yaml_cause(error: &YamlError) -> String {
    /// What a scanner complains of, in its own words, which quote nothing.
    const SCANNER: [&str; 12] = [
        "mapping values are not allowed in this context",
        "simple key expected",
        "could not find expected ':'",
        "did not find expected key",
        "did not find expected node content",
        "did not find expected <document start>",
        "did not find expected '-' indicator",
        "invalid indentation",
        "found character that cannot start any token",
        "found unexpected end of stream",
        "tabs disallowed within this context",
        "unclosed bracket",
    ];
    match error {
        YamlError::Message { msg, .. } => SCANNER
            .iter()
            .find(|known| msg.contains(*known))
            .map_or_else(|| "this is not what should stand here".to_owned(), |known| (*known).to_owned()),
        YamlError::Eof { .. } => "it ends too early".to_owned(),
        YamlError::InvalidUtf8Input => "it is not UTF-8".to_owned(),
        YamlError::Unexpected { expected, .. } => format!("{expected} is expected here"),
        YamlError::InvalidScalar { ty, .. } => format!("this is no {ty}"),
        YamlError::SerdeInvalidType { expected, .. }
        | YamlError::SerdeInvalidValue { expected, .. }
        | YamlError::SerdeInvalidLength { expected, .. } => format!("{expected} is expected here"),
        YamlError::SerdeMissingField { field, .. } => format!("`{field}` is missing"),
        YamlError::SerdeUnknownField { .. } => "there is no such field".to_owned(),
        YamlError::SerdeUnknownVariant { expected, .. } => format!("one of {} is expected here", expected.join(", ")),
        YamlError::DuplicateMappingKey { .. } => "a key stands here for the second time".to_owned(),
        YamlError::MultipleDocuments { .. } => "a second document begins here".to_owned(),
        YamlError::AliasError { error, .. } => yaml_cause(error.without_snippet()),
        _ => "this is not what should stand here".to_owned(),
    }
}

/// What is wrong with a JSON document, and where.
#[must_use]
pub fn json(error: &serde_json::Error) -> String {
    use serde_json::error::Category;
    let cause = match error.classify() {
        Category::Io => return "it could not be read".to_owned(),
        Category::Eof => "it ends too early",
        // The scanner's own words quote nothing, and end with the place.
        Category::Syntax => return error.to_string(),
        Category::Data => "this is not what should stand here",
    };
    if error.line() == 0 {
        return cause.to_owned();
    }
    format!("{cause} at line {} column {}", error.line(), error.column())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    struct Document {
        #[serde(rename = "flag")]
        _flag: bool,
    }

    const MARK: &str = "SECRET";

    #[test]
    fn quotes_nothing_of_yaml() {
        let cases = [
            ("flag: SECRET\n", "line 1, column 7"),
            ("token: SECRET\nflag: [SECRET]\n", "line 2"),
            ("token: SECRET\n", "`flag` is missing"),
            ("flag: true\ntoken: SECRET\n  more: SECRET\n", "line 3"),
            ("flag: true\nSECRET: 1\nSECRET: 2\n", "second time"),
            ("flag: true\ntoken: \"SECRET\n", ""),
            ("flag: *SECRET\n", ""),
            ("flag: !SECRET x\n", ""),
            ("\tSECRET: 1\n", ""),
            ("- SECRET\n", ""),
            ("SECRET", ""),
        ];
        for (text, said) in cases {
            let error = serde_saphyr::from_str::<Document>(text).expect_err(text);
            let shown = yaml(&error);
            assert!(!shown.contains(MARK), "{shown}");
            assert!(shown.contains(said), "{shown} of {text:?}");
        }
    }

    #[test]
    fn quotes_nothing_of_json() {
        for text in
            [r#"{"flag": "SECRET"}"#, r#"{"flag": SECRET}"#, r#"{"flag": true, "SECRET"#, r#""SECRET""#, "SECRET"]
        {
            let error = serde_json::from_str::<Document>(text).expect_err(text);
            let shown = json(&error);
            assert!(!shown.contains(MARK) && shown.contains("line 1"), "{shown}");
        }
    }
}
