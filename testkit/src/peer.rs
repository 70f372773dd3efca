//! Programs that others wrote.

#![allow(clippy::print_stderr, reason = "a test that was skipped has to say so")]

use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// `prometheus`, the server.
#[must_use]
pub fn prometheus() -> Option<Command> {
    program("prometheus")
}

/// `prometheus` from 3.0 on, the first that reads UTF-8 names: in the folder that `TELEMETRY_PROMETHEUS_3` names.
///
/// Not every system has a package of it, so its lack is told, and never a failure.
#[must_use]
pub fn prometheus_3() -> Option<Command> {
    let path = std::env::var_os("TELEMETRY_PROMETHEUS_3").map(|folder| Path::new(&folder).join("prometheus"));
    if let Some(path) = path.filter(|path| silent(Command::new(path).arg("--version"))) {
        return Some(Command::new(path));
    }
    skipped("prometheus 3", "name the folder that holds it in TELEMETRY_PROMETHEUS_3");
    None
}

/// `promtool`, which checks what Prometheus would scrape.
#[must_use]
pub fn promtool() -> Option<Command> {
    program("promtool")
}

/// `curl`, a client of HTTP.
#[must_use]
pub fn curl() -> Option<Command> {
    found("curl", "--version", "`apt-get install curl` brings it")
}

/// `openssl`, a client of TLS.
#[must_use]
pub fn openssl() -> Option<Command> {
    found("openssl", "version", "`apt-get install openssl` brings it")
}

/// An interpreter that has the package `prometheus_client`: the one that `TELEMETRY_PYTHON` names, else `python3`.
#[must_use]
pub fn python() -> Option<Command> {
    let interpreter = std::env::var_os("TELEMETRY_PYTHON").unwrap_or_else(|| OsString::from("python3"));
    let probe = silent(Command::new(&interpreter).args(["-c", "import prometheus_client"]));
    if probe {
        return Some(Command::new(interpreter));
    }
    missing(
        "python3 with prometheus_client",
        "`pip install prometheus-client` in a virtual environment, and name its interpreter in TELEMETRY_PYTHON",
    );
    None
}

fn program(name: &str) -> Option<Command> {
    found(name, "--version", "`apt-get install prometheus` brings it")
}

fn found(name: &str, version: &str, remedy: &str) -> Option<Command> {
    if silent(Command::new(name).arg(version)) {
        return Some(Command::new(name));
    }
    missing(name, remedy);
    None
}

/// Whether the program is there and succeeds.
fn silent(command: &mut Command) -> bool {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// Says that a test did not ask `what`.
///
/// # Panics
///
/// When `TELEMETRY_REQUIRE_PEERS=1`.
pub fn missing(what: &str, remedy: &str) {
    let is_required = std::env::var_os("TELEMETRY_REQUIRE_PEERS").is_some_and(|value| value == "1");
    assert!(!is_required, "{what} is not found, and TELEMETRY_REQUIRE_PEERS=1; {remedy}, or run ci/peers");
    skipped(what, remedy);
}

fn skipped(what: &str, remedy: &str) {
    // Past the capture of the test harness, which only takes what `eprint!` writes.
    let _ = writeln!(std::io::stderr(), "SKIPPED: {what} is not found; {remedy}, or run ci/peers");
}

/// What `prometheus_client` makes of many bodies, in one run of it. `bodies` is a JSON array of pairs: whether the strict
/// reader of OpenMetrics is to read it, and the body. The answer is a JSON array with, for each, a text that says why it is
/// refused, or an array of families: `[type, help, [[name, {label: value}, value as a Python repr]]]`. `None` if it is
/// missing.
///
/// # Panics
///
/// When it can't be run.
#[must_use]
pub fn families_as_json(bodies: &str) -> Option<String> {
    let script = "\
import json, sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families as strict
from prometheus_client.parser import text_string_to_metric_families as lax
def read(is_strict, body):
    try:
        families = (strict if is_strict else lax)(body)
        return [[f.type, f.documentation, [[s.name, s.labels, repr(s.value)] for s in f.samples]] for f in families]
    except Exception as error:
        return repr(error)
print(json.dumps([read(*pair) for pair in json.loads(sys.stdin.buffer.read())]))
";
    let output = answer(python()?.args(["-c", script]), bodies);
    assert!(output.status.success(), "prometheus_client: {}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).expect("JSON is UTF-8"))
}

/// What a program answers to `input`.
///
/// # Panics
///
/// When the program can't be run.
#[must_use]
pub fn answer(command: &mut Command, input: &str) -> Output {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap_or_else(|error| panic!("{command:?} does not run: {error}"));
    let mut stdin = child.stdin.take().expect("it is piped");
    std::thread::scope(|scope| {
        // Beside the reading: a program that answers while it reads would else wait for us, and we for it. One that ends
        // early closes the pipe; its answer says why.
        scope.spawn(move || stdin.write_all(input.as_bytes()));
        child.wait_with_output().expect("a child can be waited for")
    })
}

/// Asserts that `promtool check metrics` finds neither fault nor bad name in a body of text 0.0.4; does nothing if it is
/// missing.
///
/// # Panics
///
/// When it complains.
pub fn check_metrics(text: &str) {
    let Some(mut promtool) = promtool() else { return };
    let output = answer(promtool.args(["check", "metrics"]), text);
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaints.is_empty(), "promtool check metrics: {complaints}\nof:\n{text}");
}

/// Which reader of the package `prometheus_client` reads a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parser {
    /// That of text 0.0.4.
    Text,
    /// The strict one of OpenMetrics.
    OpenMetrics,
}

/// The samples that `prometheus_client` reads from `body`, as a JSON array of `[name, {label: value}, value]`, where
/// the last is a Python `repr`; `None` if it is missing.
///
/// # Panics
///
/// When it refuses the body.
#[must_use]
pub fn samples_as_json(parser: Parser, body: &str) -> Option<String> {
    let module = match parser {
        Parser::Text => "prometheus_client.parser",
        Parser::OpenMetrics => "prometheus_client.openmetrics.parser",
    };
    let script = format!(
        "import json, sys\n\
         from {module} import text_string_to_metric_families as families\n\
         body = sys.stdin.buffer.read().decode()\n\
         print(json.dumps([[s.name, s.labels, repr(s.value)] for f in families(body) for s in f.samples]))\n"
    );
    let output = answer(python()?.args(["-c", &script]), body);
    assert!(output.status.success(), "prometheus_client: {}\nof:\n{body}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).expect("JSON is UTF-8"))
}
