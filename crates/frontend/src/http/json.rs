//! Decodes the JSON bodies of Clipper's query API into typed inputs, with Clipper's error texts.
//!
//! Clipper parses the whole text before it reads members. So an error in the syntax precedes one in
//! a member, and the errors of members come in the order in which they are read.

use base64::{Engine, engine::general_purpose::STANDARD};
use model::DataType;

use super::{
    scan::{JsonKind, Number, Scanner, SyntaxError},
    shared::MAX_QUERIES,
};

/// The known members of a request. Of several with one name the first counts.
#[derive(Debug, Default)]
pub(super) struct PredictBody {
    version: Option<Parsed<String>>,
    input: Option<Parsed<Vec<u8>>>,
    input_batch: Option<Parsed<Vec<Vec<u8>>>>,
    uid: Option<Parsed<Number>>,
    label: Option<Parsed<Number>>,
}

/// The value of a member, or its error text.
type Parsed<T> = Result<T, String>;

impl JsonKind {
    fn name(self) -> &'static str {
        match self {
            JsonKind::Null => "Null",
            JsonKind::False => "False",
            JsonKind::True => "True",
            JsonKind::Object => "Object",
            JsonKind::Array => "Array",
            JsonKind::String => "String",
            JsonKind::Number => "Number",
        }
    }
}

impl PredictBody {
    /// Parses a request for an application with this input type.
    ///
    /// # Errors
    /// Clipper's text if the body is not a JSON object.
    pub(super) fn read(text: &[u8], input_type: DataType) -> Result<PredictBody, String> {
        let mut body = PredictBody::default();
        let document = Scanner::new(text).document(|scanner| {
            if scanner.kind() != JsonKind::Object {
                scanner.skip()?;
                return Ok(Err("Can only get key-value pair from an object".to_owned()));
            }
            scanner.members(|scanner, name| body.member(scanner, name, input_type))?;
            Ok(Ok(()))
        });
        document.map_err(|syntax| syntax.to_string())??;
        Ok(body)
    }

    fn member(
        &mut self,
        scanner: &mut Scanner<'_>,
        name: &[u8],
        input_type: DataType,
    ) -> Result<(), SyntaxError> {
        match name {
            b"input" if self.input.is_none() => {
                self.input = Some(input(scanner, input_type)?);
            }
            b"input_batch" if self.input_batch.is_none() => {
                self.input_batch = Some(input_batch(scanner, input_type)?);
            }
            b"version" if self.version.is_none() => self.version = Some(text(scanner)?),
            b"uid" if self.uid.is_none() => self.uid = Some(number(scanner, "uid")?),
            b"label" if self.label.is_none() => self.label = Some(number(scanner, "label")?),
            _ => scanner.skip()?,
        }
        Ok(())
    }

    /// Returns the requested model version.
    pub(super) fn version(&mut self) -> Parsed<Option<String>> {
        self.version.take().transpose()
    }

    /// Returns the inputs to predict, each as the bytes of its elements.
    pub(super) fn inputs(self) -> Parsed<Vec<Vec<u8>>> {
        match (self.input, self.input_batch) {
            (Some(input), _) => Ok(vec![input?]),
            (None, Some(batch)) => batch,
            (None, None) => {
                Err("JSON object does not have required keys input or input_batch".into())
            }
        }
    }

    /// Checks that the body is feedback, by Clipper's rules.
    pub(super) fn check_feedback(self) -> Parsed<()> {
        match required(self.uid, "uid")? {
            Number::Integer(uid) if i64::try_from(uid).is_ok() => {}
            _ => {
                return Err(element_type_error(
                    "PredictionData",
                    JsonKind::Number,
                    "long",
                ));
            }
        }
        required(self.input, "input")?;
        match required(self.label, "label")? {
            Number::Double(_) => Ok(()),
            Number::Integer(_) => Err(element_type_error(
                "PredictionData",
                JsonKind::Number,
                "double",
            )),
        }
    }
}

fn required<T>(member: Option<Parsed<T>>, key: &str) -> Parsed<T> {
    member.unwrap_or_else(|| Err(format!("JSON object does not have required key: {key}")))
}

fn text(scanner: &mut Scanner<'_>) -> Result<Parsed<String>, SyntaxError> {
    let read = string(scanner)?;
    let read = read.map_err(|kind| member_type_error("version", JsonKind::String, kind));
    Ok(read.map(|text| String::from_utf8_lossy(&text).into_owned()))
}

fn number(scanner: &mut Scanner<'_>, key: &str) -> Result<Parsed<Number>, SyntaxError> {
    match scanner.kind() {
        JsonKind::Number => scanner.number().map(Ok),
        kind => {
            scanner.skip()?;
            Ok(Err(member_type_error(key, JsonKind::Number, kind)))
        }
    }
}

/// Reads one input.
fn input(scanner: &mut Scanner<'_>, input_type: DataType) -> Result<Parsed<Vec<u8>>, SyntaxError> {
    let kind = scanner.kind();
    let (wanted, _) = expected_form(input_type);
    if kind != wanted {
        scanner.skip()?;
        return Ok(Err(member_type_error("input", wanted, kind)));
    }
    typed_input(scanner, input_type)
}

/// Reads a list of inputs.
fn input_batch(
    scanner: &mut Scanner<'_>,
    input_type: DataType,
) -> Result<Parsed<Vec<Vec<u8>>>, SyntaxError> {
    let kind = scanner.kind();
    if kind != JsonKind::Array {
        scanner.skip()?;
        return Ok(Err(member_type_error("input_batch", JsonKind::Array, kind)));
    }
    let (wanted, name) = expected_form(input_type);
    let mut inputs = Ok(Vec::new());
    scanner.elements(|scanner| {
        let Ok(list) = &mut inputs else {
            return scanner.skip();
        };
        if list.len() == MAX_QUERIES {
            inputs = Err(format!("There are more than {MAX_QUERIES} inputs"));
            return scanner.skip();
        }
        let kind = scanner.kind();
        let input = if kind == wanted {
            typed_input(scanner, input_type)?
        } else {
            scanner.skip()?;
            Err(match wanted {
                JsonKind::Array => element_type_error("Array input", kind, "array"),
                _ => element_type_error(subject(input_type), kind, name),
            })
        };
        match input {
            Ok(input) => list.push(input),
            Err(wrong) => inputs = Err(wrong),
        }
        Ok(())
    })?;
    Ok(inputs)
}

/// Reads an input of the right kind and checks the kind of its elements.
fn typed_input(
    scanner: &mut Scanner<'_>,
    input_type: DataType,
) -> Result<Parsed<Vec<u8>>, SyntaxError> {
    let (_, name) = expected_form(input_type);
    let read = match input_type {
        DataType::Ints => array(scanner, Scanner::number, |number| match number {
            Number::Integer(value) => Some(i32::try_from(value).ok()?.to_le_bytes()),
            Number::Double(_) => None,
        }),
        DataType::Floats => array(scanner, Scanner::number_for_float, |number| match number {
            // Clipper's limit, a little less than the largest float.
            Number::Double(value) if value.abs() <= 3.402_823_4e38 => {
                Some((value as f32).to_le_bytes())
            }
            _ => None,
        }),
        DataType::Doubles => array(scanner, Scanner::number, |number| match number {
            Number::Double(value) => Some(value.to_le_bytes()),
            Number::Integer(_) => None,
        }),
        DataType::Strings => string(scanner),
        DataType::Bytes => {
            let read = string(scanner)?;
            Ok(read.and_then(|text| STANDARD.decode(text).map_err(|_| JsonKind::String)))
        }
    }?;
    Ok(read.map_err(|kind| element_type_error(subject(input_type), kind, name)))
}

/// Reads an array of numbers as bytes. Returns the kind of the first element that `convert`
/// refuses.
fn array<'a, const SIZE: usize>(
    scanner: &mut Scanner<'a>,
    number: impl Fn(&mut Scanner<'a>) -> Result<Number, SyntaxError>,
    convert: impl Fn(Number) -> Option<[u8; SIZE]>,
) -> Result<Result<Vec<u8>, JsonKind>, SyntaxError> {
    let mut bytes = Vec::new();
    let mut wrong = None;
    scanner.elements(|scanner| {
        let kind = scanner.kind();
        if kind != JsonKind::Number {
            wrong.get_or_insert(kind);
            return scanner.skip();
        }
        match convert(number(scanner)?) {
            Some(element) => bytes.extend_from_slice(&element),
            None => {
                wrong.get_or_insert(kind);
            }
        }
        Ok(())
    })?;
    Ok(wrong.map_or(Ok(bytes), Err))
}

/// Reads a string, or returns the kind of the value there.
fn string(scanner: &mut Scanner<'_>) -> Result<Result<Vec<u8>, JsonKind>, SyntaxError> {
    match scanner.kind() {
        JsonKind::String => {
            let mut text = Vec::new();
            scanner.string(|part| text.extend_from_slice(part))?;
            Ok(Ok(text))
        }
        kind => {
            scanner.skip()?;
            Ok(Err(kind))
        }
    }
}

/// Returns the expected kind of an input and Clipper's name for its elements.
fn expected_form(input_type: DataType) -> (JsonKind, &'static str) {
    match input_type {
        DataType::Bytes => (JsonKind::String, "base64-encoded string"),
        DataType::Ints => (JsonKind::Array, "int"),
        DataType::Floats => (JsonKind::Array, "float"),
        DataType::Doubles => (JsonKind::Array, "double"),
        DataType::Strings => (JsonKind::String, "string"),
    }
}

/// Returns the subject of Clipper's text for a wrong input.
fn subject(input_type: DataType) -> &'static str {
    match input_type {
        DataType::Bytes => "PredictionData",
        _ => "Array input",
    }
}

fn element_type_error(subject: &str, found: JsonKind, wanted: &str) -> String {
    format!("{subject} of type {} is not of type {wanted}", found.name())
}

/// Returns Clipper's text for a member of the wrong type, with Clipper's missing blank.
fn member_type_error(key: &str, expected: JsonKind, found: JsonKind) -> String {
    format!(
        "Type member_type_error! JSON key {key} expected type {}but found type {}",
        expected.name(),
        found.name()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(input_type: DataType, text: &str) -> Parsed<Vec<Vec<u8>>> {
        let mut body = PredictBody::read(text.as_bytes(), input_type)?;
        body.version()?;
        body.inputs()
    }

    fn wrong(input_type: DataType, text: &str) -> String {
        read(input_type, text).unwrap_err()
    }

    #[test]
    fn decodes_inputs_to_little_endian_elements() {
        let bytes = |lists: &[&[u8]]| Ok(lists.iter().map(|list| list.to_vec()).collect());
        let floats = read(DataType::Floats, " {\"input\" : [ 1.5 , -2e0,0.1] } ");
        let expected: Vec<u8> = [1.5_f32, -2.0, 0.1].map(f32::to_le_bytes).concat();
        assert_eq!(floats, bytes(&[&expected]));
        let doubles = read(DataType::Doubles, r#"{"input_batch":[[0.1,1E-3],[]]}"#);
        let expected: Vec<u8> = [0.1_f64, 0.001].map(f64::to_le_bytes).concat();
        assert_eq!(doubles, bytes(&[&expected, &[]]));
        let ints = read(
            DataType::Ints,
            r#"{"input":[-1,2147483647,-0],"input_batch":7}"#,
        );
        let expected: Vec<u8> = [-1, i32::MAX, 0].map(i32::to_le_bytes).concat();
        assert_eq!(ints, bytes(&[&expected]));
        let strings = read(
            DataType::Strings,
            r#"{"input_batch":["a\"\u00e4\ud83d\ude00\n",""]}"#,
        );
        assert_eq!(strings, bytes(&["a\"\u{e4}\u{1f600}\n".as_bytes(), b""]));
        assert_eq!(
            read(DataType::Bytes, r#"{"input":"AP8="}"#),
            bytes(&[&[0, 255]])
        );
        assert_eq!(read(DataType::Bytes, r#"{"input_batch":[]}"#), bytes(&[]));
        let first = read(
            DataType::Strings,
            r#"{"x":{"input":[null]},"input":"a","input":1}"#,
        );
        assert_eq!(first, bytes(&[b"a"]));
    }

    #[test]
    fn refuses_other_types_in_clippers_words() {
        use DataType::{Bytes, Doubles, Floats, Ints, Strings};
        for (input_type, text, expected) in [
            (
                Doubles,
                r#"{"input":[1]}"#,
                "Array input of type Number is not of type double",
            ),
            (
                Floats,
                r#"{"input":[1.0,1e39,null]}"#,
                "Array input of type Number is not of type float",
            ),
            (
                Ints,
                r#"{"input":[2147483648]}"#,
                "Array input of type Number is not of type int",
            ),
            (
                Ints,
                r#"{"input":[1,"a",1.5]}"#,
                "Array input of type String is not of type int",
            ),
            (
                Floats,
                r#"{"input_batch":[[1.0],true]}"#,
                "Array input of type True is not of type array",
            ),
            (
                Strings,
                r#"{"input_batch":["a",{}]}"#,
                "Array input of type Object is not of type string",
            ),
            (
                Bytes,
                r#"{"input_batch":[1]}"#,
                "PredictionData of type Number is not of type base64-encoded string",
            ),
            (
                Bytes,
                r#"{"input":"*"}"#,
                "PredictionData of type String is not of type base64-encoded string",
            ),
            (
                Floats,
                r#"{"input":"a"}"#,
                "Type member_type_error! JSON key input expected type Arraybut found type String",
            ),
            (
                Floats,
                r#"{"version":1,"input":[1]}"#,
                "Type member_type_error! JSON key version expected type Stringbut found type Number",
            ),
            (
                Floats,
                "{}",
                "JSON object does not have required keys input or input_batch",
            ),
            (Floats, "[]", "Can only get key-value pair from an object"),
        ] {
            assert_eq!(wrong(input_type, text), expected, "{text}");
        }
    }

    #[test]
    fn reports_syntax_errors_with_rapidjsons_words_and_offset() {
        for (text, what, offset) in [
            ("", "The document is empty.", 0),
            (
                "{} x",
                "The document root must not be followed by other values.",
                3,
            ),
            (
                r#"{"input":[1.0"#,
                "Missing a comma or ']' after an array element.",
                13,
            ),
            (r#"{"input":[1.0,]}"#, "Invalid value.", 14),
            (r#"{"input":nul}"#, "Invalid value.", 12),
            (r#"{"input":x}"#, "Invalid value.", 9),
            (
                r#"{"input" 1}"#,
                "Missing a colon after a name of object member.",
                9,
            ),
            (
                r#"{"input":1 "a":2}"#,
                "Missing a comma or '}' after an object member.",
                11,
            ),
            ("{1:2}", "Missing a name for object member.", 1),
            (r#"{"input":[1.]}"#, "Miss fraction part in number.", 12),
            (r#"{"input":[1e]}"#, "Miss exponent in number.", 12),
            (
                r#"{"input":[1e309]}"#,
                "Number too big to be stored in double.",
                10,
            ),
            (
                r#"{"input":"\x"}"#,
                "Invalid escape character in string.",
                10,
            ),
            (
                r#"{"input":"\u12g4"}"#,
                "Incorrect hex digit after \\u escape in string.",
                10,
            ),
            (
                r#"{"input":"\ud800"}"#,
                "The surrogate pair in string is invalid.",
                10,
            ),
            (
                r#"{"input":"a"#,
                "Missing a closing quotation mark in string.",
                11,
            ),
            // A syntax error precedes the error of a member.
            (
                r#"{"input":[null], "version":1,"#,
                "Missing a name for object member.",
                29,
            ),
        ] {
            let expected = format!("JSON parse error: {what} (offset {offset})\n");
            assert_eq!(wrong(DataType::Floats, text), expected, "{text}");
        }
        let many = format!(r#"{{"input_batch":[{}[]]}}"#, "[],".repeat(MAX_QUERIES));
        let text = "There are more than 100000 inputs";
        assert_eq!(wrong(DataType::Floats, &many), text);
        let deep = "[".repeat(100_000);
        assert!(wrong(DataType::Floats, &deep).contains("Nested too deeply."));
    }
}
