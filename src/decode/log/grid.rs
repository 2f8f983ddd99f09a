//! Tables in JSON: the names of the columns once, and the values in rows or columns, as stores' query answers have them.
//!
//! Rows: Azure's Log Analytics and Kusto (`columns`, `rows`), ES|QL (`columns`, `values`), OpenSearch's SQL (`schema`,
//! `datarows`), ClickHouse (`meta`, `data`), Splunk (`fields`, `rows`). Columns: Splunk's `json_cols` (`fields`,
//! `columns`), Grafana's data frames (`schema.fields`, `data.values`, or `fields` with `values` of their own).

use std::borrow::Cow;

use serde::Deserialize as _;

use super::json::Json;

/// Members that hold the names.
const NAMES: [&str; 6] = ["columns", "Columns", "fields", "schema", "meta", "schema.fields"];
/// Members that hold rows.
const ROWS: [&str; 5] = ["values", "rows", "Rows", "datarows", "data"];
/// Members that hold columns.
const COLUMNS: [&str; 2] = ["columns", "data.values"];

/// Whether an object with such a member may be a table.
pub(super) fn may_be(name: &str) -> bool {
    matches!(name, "columns" | "Columns" | "fields" | "schema" | "meta")
}

/// Whether a member holds rows, where the names of their columns stand before it.
pub(super) fn holds_rows(name: &str) -> bool {
    ROWS.contains(&name)
}

/// The rows of a table, each as an object; `None` where this is none.
pub(super) fn rows<'j>(json: &'j Json<'_>) -> Option<Vec<Json<'j>>> {
    let names = NAMES.iter().find_map(|path| names(json.get(path)?))?;
    let lists = |path: &&str| -> Option<Vec<&'j [Json<'j>]>> {
        let items = json.get(path)?.items();
        let lists: Vec<&[Json<'j>]> = items
            .iter()
            .map(|item| if let Json::List(list) = item { Some(&list[..]) } else { None })
            .collect::<Option<_>>()?;
        (!lists.is_empty()).then_some(lists)
    };
    let row = |values: &mut dyn Iterator<Item = &Json<'j>>| {
        let members = names.iter().map(|name| Cow::Borrowed(*name)).zip(values.cloned());
        Json::Object(members.filter(|(_, value)| *value != Json::Null).collect())
    };
    if let Some(rows) = ROWS.iter().find_map(lists) {
        let fits = rows.iter().all(|row| row.len() == names.len());
        return fits.then(|| rows.into_iter().map(|values| row(&mut values.iter())).collect());
    }
    let own = || {
        let fields = json.get("fields")?.items();
        fields.iter().map(|field| field.get("values").map(Json::items)).collect::<Option<Vec<_>>>()
    };
    let columns = COLUMNS.iter().find_map(lists).or_else(own)?;
    let length = columns.first()?.len();
    let fits = columns.len() == names.len() && columns.iter().all(|column| column.len() == length);
    fits.then(|| (0..length).map(|at| row(&mut columns.iter().map(|column| &column[at]))).collect())
}

/// The longest name of a column. A row has it for a byte or two of its own, and there may be millions.
const MAX_NAME: usize = 200;

/// The names of a list of columns: texts, or objects that have one.
fn names<'j>(list: &'j Json<'_>) -> Option<Vec<&'j str>> {
    let name = |item: &'j Json<'_>| match item {
        Json::Text(name) => Some(&**name),
        item => item.text_of(&["name", "ColumnName", "Name"]),
    };
    let names: Vec<&str> = list.items().iter().map(name).collect::<Option<_>>()?;
    (names.len() > 1 && names.iter().all(|name| name.len() <= MAX_NAME)).then_some(names)
}

/// The names of the columns that the beginning of a table tells, up to its rows.
pub(super) fn names_before(beginning: &str) -> Vec<String> {
    let of = |key: &&str| {
        let at = beginning.rfind(&format!("\"{key}\""))? + key.len() + 2;
        let list = beginning[at..].trim_start().strip_prefix(':')?;
        let list = Json::deserialize(&mut serde_json::Deserializer::from_str(list)).ok()?;
        names(&list).map(|names| names.into_iter().map(str::to_owned).collect())
    };
    NAMES.iter().find_map(of).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]
    use super::*;

    #[test]
    fn every_table_has_the_same_rows() {
        for text in [
            r#"{"columns":[{"name":"t"},{"name":"m"}],"rows":[["1","a"],["2","b"]]}"#,
            r#"{"TableName":"x","Columns":[{"ColumnName":"t"},{"ColumnName":"m"}],"Rows":[["1","a"],["2","b"]]}"#,
            r#"{"columns":[{"name":"t","type":"date"},{"name":"m"}],"values":[["1","a"],["2","b"]]}"#,
            r#"{"schema":[{"name":"t"},{"name":"m"}],"datarows":[["1","a"],["2","b"]]}"#,
            r#"{"meta":[{"name":"t"},{"name":"m"}],"data":[["1","a"],["2","b"]]}"#,
            r#"{"fields":["t","m"],"rows":[["1","a"],["2","b"]]}"#,
            r#"{"fields":["t","m"],"columns":[["1","2"],["a","b"]]}"#,
            r#"{"schema":{"fields":[{"name":"t"},{"name":"m"}]},"data":{"values":[["1","2"],["a","b"]]}}"#,
            r#"{"fields":[{"name":"t","values":["1","2"]},{"name":"m","values":["a","b"]}]}"#,
        ] {
            let json = Json::parse(text).unwrap();
            let found = rows(&json).unwrap_or_else(|| panic!("{text}"));
            let found: Vec<String> = found.iter().map(|row| serde_json::to_string(row).unwrap()).collect();
            assert_eq!(found, [r#"{"t":"1","m":"a"}"#, r#"{"t":"2","m":"b"}"#], "{text}");
        }
        for text in [
            r#"{"fields":{"message":"x"},"rows":3}"#,
            r#"{"columns":["a"],"values":[["1"]]}"#,
            r#"{"columns":["a","b"],"values":[["1"]]}"#,
            r#"{"fields":["a","b"],"level":"info"}"#,
        ] {
            assert_eq!(rows(&Json::parse(text).unwrap()), None, "{text}");
        }
    }

    #[test]
    fn names_stand_before_rows() {
        for (text, names) in [
            (r#"{"tables":[{"name":"x","columns":[{"name":"t"},{"name":"m"}],"rows":"#, vec!["t", "m"]),
            (r#"{"fields": ["t", "m"], "rows":"#, vec!["t", "m"]),
            (r#"{"status":"ok","rows":"#, vec![]),
        ] {
            assert_eq!(names_before(text), names, "{text}");
        }
    }
}
