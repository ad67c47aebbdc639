//! The `server.properties` file: Java's syntax, with line numbers, duplicates and nearest names.

/// One finding about a line: an error refuses the start, a warning does not.
#[derive(Debug, Clone)]
pub struct ConfigProblem {
    pub line: Option<usize>,
    pub fatal: bool,
    pub message: String,
}
/// Keys and values in file order, each with its line number.
#[derive(Debug, Clone, Default)]
pub struct Properties {
    pub entries: Vec<(String, String, usize)>,
}
impl Properties {
    pub fn parse(text: &str) -> Properties {
        let _ = text;
        todo!()
    }
    pub fn set(&mut self, key: &str, value: &str) {
        let _ = (key, value);
        todo!()
    }
    pub fn get(&self, key: &str) -> Option<&str> {
        let _ = key;
        todo!()
    }
}
