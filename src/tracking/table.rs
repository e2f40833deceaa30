//! A table: named columns and rows of JSON values, in MLflow's file format.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::json;
use crate::store::tracking::TrackingError;

/// A table, as `log_table` writes it and `load_table` gives it.
///
/// # Examples
///
/// ```
/// use opentelemetry_mlflow::tracking::Table;
///
/// #[derive(serde::Serialize)]
/// struct Answer<'a> {
///     question: &'a str,
///     score: f64,
/// }
///
/// let table = Table::from_rows([Answer { question: "What is MLflow?", score: 0.5 }])?;
/// assert_eq!(table.columns(), ["question", "score"]);
/// # Ok::<(), opentelemetry_mlflow::store::tracking::TrackingError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    columns: Vec<String>,
    rows: Vec<Vec<Value>>,
}

/// The file: the orientation `split` of pandas, without an index.
#[derive(Serialize, Deserialize)]
struct Split<C, D> {
    columns: C,
    data: D,
}

impl Table {
    /// A table without rows.
    pub fn new<C: Into<String>>(columns: impl IntoIterator<Item = C>) -> Self {
        Self { columns: columns.into_iter().map(Into::into).collect(), rows: Vec::new() }
    }

    /// A row for each value, which serde must see as a map: a struct, a `HashMap`, a JSON object. The
    /// columns stand in the order in which they first come up; what a row lacks is null.
    ///
    /// # Errors
    ///
    /// [`TrackingError::Invalid`] for a value that is no map, or that serde cannot turn into JSON.
    pub fn from_rows<T: Serialize>(rows: impl IntoIterator<Item = T>) -> Result<Self, TrackingError> {
        let mut table = Self::default();
        for (number, row) in rows.into_iter().enumerate() {
            let refused = |why: String| TrackingError::invalid(format!("row {number} of the table {why}"));
            match serde_json::to_value(row) {
                Ok(Value::Object(map)) => table.push_map(map),
                Ok(_) => return Err(refused("has no names for its columns".to_owned())),
                Err(error) => return Err(refused(format!("cannot be written: {error}"))),
            }
        }
        Ok(table)
    }

    /// A table of these columns, in this order.
    ///
    /// # Errors
    ///
    /// [`TrackingError::Invalid`] if they are not of one length, or two have the same name.
    ///
    /// # Examples
    ///
    /// ```
    /// use opentelemetry_mlflow::tracking::Table;
    ///
    /// let table = Table::from_columns([("inputs", vec!["What is MLflow?"]), ("outputs", vec!["A platform."])])?;
    /// assert_eq!(table.rows().len(), 1);
    /// # Ok::<(), opentelemetry_mlflow::store::tracking::TrackingError>(())
    /// ```
    pub fn from_columns<C: Into<String>, V: Into<Value>>(
        columns: impl IntoIterator<Item = (C, Vec<V>)>,
    ) -> Result<Self, TrackingError> {
        let mut table = Self::default();
        for (name, values) in columns {
            let name = name.into();
            if table.columns.is_empty() {
                table.rows.resize(values.len(), Vec::new());
            }
            if table.position(&name).is_some() {
                return Err(TrackingError::invalid(format!("two columns of the table are named {name}")));
            }
            if table.rows.len() != values.len() {
                let (found, first) = (values.len(), table.rows.len());
                let why =
                    format!("column {name} of the table has {found} rows, the first column has {first}");
                return Err(TrackingError::invalid(why));
            }
            table.columns.push(name);
            for (row, value) in table.rows.iter_mut().zip(values) {
                row.push(value.into());
            }
        }
        Ok(table)
    }

    /// Adds a row with a value for each column.
    ///
    /// # Errors
    ///
    /// [`TrackingError::Invalid`] if there are more or fewer values than columns.
    pub fn push(&mut self, row: Vec<Value>) -> Result<(), TrackingError> {
        if row.len() != self.columns.len() {
            return Err(TrackingError::invalid(format!(
                "a row of {} values does not fit into {} columns",
                row.len(),
                self.columns.len()
            )));
        }
        self.rows.push(row);
        Ok(())
    }

    /// Names of the columns.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The rows, each with a value for each column.
    pub fn rows(&self) -> &[Vec<Value>] {
        &self.rows
    }

    /// The values of a column, if there is one of that name.
    pub fn column(&self, name: &str) -> Option<impl Iterator<Item = &Value>> {
        let at = self.position(name)?;
        Some(self.rows.iter().filter_map(move |row| row.get(at)))
    }

    /// Adds the rows of another table. Columns that only one of them has are null in the other's rows.
    pub fn append(&mut self, other: Self) {
        let places: Vec<usize> = other.columns.iter().map(|name| self.place(name)).collect();
        for row in other.rows {
            let mut values = vec![Value::Null; self.columns.len()];
            for (place, value) in places.iter().zip(row) {
                if let Some(slot) = values.get_mut(*place) {
                    *slot = value;
                }
            }
            self.rows.push(values);
        }
    }

    /// Adds a column with the same value in every row, under the name that is given, or, where that is
    /// taken, with an underscore behind it, as MLflow does.
    pub(super) fn add_constant(&mut self, name: &str, value: &Value) {
        let taken = self.position(name).is_some();
        let place = self.place(&if taken { format!("{name}_") } else { name.to_owned() });
        for row in &mut self.rows {
            if let Some(slot) = row.get_mut(place) {
                *slot = value.clone();
            }
        }
    }

    /// Reads MLflow's file.
    ///
    /// # Errors
    ///
    /// [`TrackingError::Invalid`] if it is not one.
    pub fn from_json(bytes: &[u8]) -> Result<Self, TrackingError> {
        let refused = |why: String| TrackingError::invalid(format!("not a table of MLflow: {why}"));
        let read: Split<Vec<Value>, Vec<Vec<Value>>> =
            serde_json::from_slice(bytes).map_err(|error| refused(error.to_string()))?;
        // pandas names columns by numbers where nobody named them.
        let name = |column: Value| match column {
            Value::String(name) => name,
            other => other.to_string(),
        };
        let mut table = Self::new(read.columns.into_iter().map(name));
        for row in read.data {
            table.push(row).map_err(|error| refused(error.to_string()))?;
        }
        Ok(table)
    }

    /// MLflow's file. As pandas does it, a column of numbers becomes one of floats if one of them is a
    /// float or is missing. Unlike pandas, floats keep all of their digits.
    pub fn to_json(&self) -> String {
        let floats: Vec<bool> = (0..self.columns.len()).map(|column| self.is_float(column)).collect();
        let data: Vec<Vec<Value>> = self
            .rows
            .iter()
            .map(|row| row.iter().zip(&floats).map(|(value, float)| written(value, *float)).collect())
            .collect();
        json::to_pandas(&Split { columns: &self.columns, data })
    }

    fn is_float(&self, column: usize) -> bool {
        let mut needed = false;
        for value in self.rows.iter().filter_map(|row| row.get(column)) {
            match value {
                Value::Null => needed = true,
                Value::Number(number) => needed |= number.is_f64(),
                _ => return false,
            }
        }
        needed
    }

    fn push_map(&mut self, map: serde_json::Map<String, Value>) {
        let mut row = vec![Value::Null; self.columns.len()];
        for (name, value) in map {
            let place = self.place(&name);
            row.resize(self.columns.len(), Value::Null);
            if let Some(slot) = row.get_mut(place) {
                *slot = value;
            }
        }
        self.rows.push(row);
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column == name)
    }

    /// The place of a column, which is added where it is missing.
    fn place(&mut self, name: &str) -> usize {
        self.position(name).unwrap_or_else(|| {
            self.columns.push(name.to_owned());
            for row in &mut self.rows {
                row.push(Value::Null);
            }
            self.columns.len() - 1
        })
    }
}

fn written(value: &Value, float: bool) -> Value {
    match value.as_f64().filter(|_| float) {
        Some(number) => Value::from(number),
        None => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Tables and the bytes that MLflow 3.17.2 with pandas 3.1.1 wrote for them.
    #[test]
    fn files_are_those_that_mlflow_writes() {
        for (rows, expected) in [
            (
                json!([{"a": 1, "b": "x"}, {"a": 2.5, "b": "é\"/\\\n\t\u{1}\u{2028}😀"}]),
                r#"{"columns":["a","b"],"data":[[1.0,"x"],[2.5,"\u00e9\"\/\\\n\t\u0001\u2028\ud83d\ude00"]]}"#,
            ),
            (
                json!([{"a": 1, "b": 1}, {"a": null, "b": 2}]),
                r#"{"columns":["a","b"],"data":[[1.0,1],[null,2]]}"#,
            ),
            (
                json!([{"a": 1, "b": true}, {"a": null, "b": null}, {"a": "x", "b": 2}]),
                r#"{"columns":["a","b"],"data":[[1,true],[null,null],["x",2]]}"#,
            ),
            (
                json!([{"a": 1.0, "b": 0.1}, {"a": 2.0, "b": 1e20}]),
                r#"{"columns":["a","b"],"data":[[1.0,0.1],[2.0,1e+20]]}"#,
            ),
            (
                json!([{"a": [1, 1.5], "b": {"a": 1.0}}, {"a": [2.25], "b": {"a": 0.1}}]),
                r#"{"columns":["a","b"],"data":[[[1,1.5],{"a":1.0}],[[2.25],{"a":0.1}]]}"#,
            ),
            (
                json!([{"a": 9_007_199_254_740_993_i64}, {"a": 4_611_686_018_427_387_904_i64}]),
                r#"{"columns":["a"],"data":[[9007199254740993],[4611686018427387904]]}"#,
            ),
            (
                json!([{"a": 1, "b": 2}, {"a": 2}, {"c": "x"}]),
                r#"{"columns":["a","b","c"],"data":[[1.0,2.0,null],[2.0,null,null],[null,null,"x"]]}"#,
            ),
            (json!([{"a/b": "</script>"}]), r#"{"columns":["a\/b"],"data":[["<\/script>"]]}"#),
        ] {
            let table = Table::from_rows(rows.as_array().unwrap()).unwrap();
            assert_eq!(table.to_json(), expected);
            let read = Table::from_json(expected.as_bytes()).unwrap();
            assert_eq!(read.to_json(), expected);
        }
        assert_eq!(Table::new(["a"]).to_json(), r#"{"columns":["a"],"data":[]}"#);
    }

    #[test]
    fn appended_columns_are_joined_by_name() {
        let mut table = Table::from_rows([json!({"a": 1, "b": "x"})]).unwrap();
        table.append(Table::from_rows([json!({"c": 1, "b": "y"})]).unwrap());
        let joined = r#"{"columns":["a","b","c"],"data":[[1.0,"x",null],[null,"y",1.0]]}"#;
        assert_eq!(table.to_json(), joined);
        let b: Vec<_> = table.column("b").unwrap().collect();
        assert_eq!(b, ["x", "y"]);
        assert!(table.column("d").is_none());
    }

    #[test]
    fn what_is_no_table_is_refused() {
        assert!(Table::from_json(b"[]").is_err());
        assert!(Table::from_json(br#"{"columns":["a"],"data":[[1,2]]}"#).is_err());
        assert!(Table::from_rows([json!(1)]).is_err());
        assert!(Table::new(["a"]).push(vec![]).is_err());
    }

    #[test]
    fn a_column_that_is_there_keeps_its_name() {
        let mut table = Table::from_rows([json!({"run_id": 1})]).unwrap();
        table.add_constant("run_id", &json!("r"));
        assert_eq!(table.columns(), ["run_id", "run_id_"]);
        assert_eq!(table.rows(), [[json!(1), json!("r")]]);
    }
}
