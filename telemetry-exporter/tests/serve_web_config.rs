//! The web configuration file of Prometheus' exporters: what the reference accepts is accepted, and what it refuses is refused.
#![cfg(feature = "web-config")]

mod secure;
mod serve_client;

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use rustls::version::TLS12;
use secure::{Pki, replace, wait};
use serve_client::{Client, Response, opens, text};
use telemetry_exporter::serve::{Access, ServeError, Server, Tls, WebConfigError, check_web_config};

fn try_serve(path: &Path) -> Result<Server, ServeError> {
    Server::builder().listen("127.0.0.1:0").web_config(path).serve(opens(|_| Ok(text("one 1\n"))))
}

fn serve(path: &Path) -> Server {
    try_serve(path).unwrap_or_else(|error| panic!("{error}"))
}

fn hash(password: &str) -> String {
    bcrypt::hash_with_salt(password, 4, *b"sixteen bytes...").unwrap().to_string()
}

fn authorization(credentials: &str) -> String {
    format!("Authorization: Basic {}", base64::engine::general_purpose::STANDARD.encode(credentials))
}

fn get(server: &Server, credentials: &str) -> Response {
    let mut client = Client::connect(server.local_addr());
    let header = if credentials.is_empty() { String::new() } else { authorization(credentials) + "\r\n" };
    client.send(&format!("GET /metrics HTTP/1.1\r\nHost: test\r\n{header}\r\n")).response()
}

const TLS: &str = "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n";
const ALICE: &str = "$2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG";

/// Files that the reference of Prometheus 2.42 accepts, too.
fn accepted() -> Vec<(&'static str, String)> {
    let tls = |more: &str| format!("{TLS}{more}");
    let headers = "http_server_config:\n  headers:\n    Content-Security-Policy: default-src 'self'\n    X-Frame-Options: deny\n    \
                   X-Content-Type-Options: nosniff\n    X-XSS-Protection: \"1\"\n    Strict-Transport-Security: max-age=31536000\n";
    vec![
        ("empty", String::new()),
        ("comments", "# Nothing is set.\n".to_owned()),
        ("tls", tls("")),
        (
            "absolute",
            "tls_server_config:\n  cert_file: \"FOLDER/server.crt\"\n  key_file: FOLDER/server.key\n".to_owned(),
        ),
        ("tls_and_users", tls(&format!("basic_auth_users:\n  alice: {ALICE}\n  bob: \"{ALICE}\"\n"))),
        ("users", format!("basic_auth_users:\n  alice: {ALICE}\n")),
        ("no_users", "basic_auth_users:\n".to_owned()),
        ("client_none", tls("  client_auth_type: NoClientCert\n")),
        ("client_request", tls("  client_auth_type: RequestClientCert\n")),
        ("client_any", tls("  client_auth_type: RequireAnyClientCert\n")),
        ("client_any_old_name", tls("  client_auth_type: RequireClientCert\n")),
        ("client_if_given", tls("  client_auth_type: VerifyClientCertIfGiven\n  client_ca_file: ca.crt\n")),
        ("client_verified", tls("  client_auth_type: \"RequireAndVerifyClientCert\"\n  client_ca_file: ca.crt\n")),
        ("versions", tls("  min_version: TLS12\n  max_version: TLS13\n")),
        ("old_version_allowed", tls("  min_version: TLS10\n")),
        ("order_of_client", tls("  prefer_server_cipher_suites: false\n")),
        (
            "suites",
            tls(
                "  cipher_suites:\n  - TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256\n  - TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA\n  \
                 - TLS_AES_128_GCM_SHA256\n",
            ),
        ),
        ("curves", tls("  curve_preferences: [X25519, CurveP256, CurveP384, CurveP521]\n")),
        ("http_1", tls("http_server_config:\n  http2: false\n")),
        ("http_2", tls("http_server_config: {http2: yes}\n")),
        ("headers", headers.to_owned()),
        ("blank_header", "http_server_config:\n  headers:\n    X-XSS-Protection: \"\"\n".to_owned()),
        ("tls_without_certificate_is_none", "tls_server_config:\n  min_version: TLS12\n".to_owned()),
        ("anchor", format!("basic_auth_users:\n  alice: &hash {ALICE}\n  bob: *hash\n")),
    ]
}

/// Files that the reference refuses, too; each with a part of what is told.
fn refused() -> Vec<(&'static str, String, &'static str)> {
    let tls = |more: &str| format!("{TLS}{more}");
    vec![
        ("unknown_key", "tls_config: {}\n".to_owned(), ":1: tls_config: there is no such key"),
        ("unknown_tls_key", tls("  cert: x\n  certfile: x\n"), ":5: tls_server_config.certfile: there is no such key"),
        (
            "unknown_http_key",
            "http_server_config:\n  http3: true\n".to_owned(),
            ":2: http_server_config.http3: there is",
        ),
        ("twice", format!("{TLS}{TLS}"), ":4: tls_server_config: it is there twice, first in line 1"),
        ("no_yaml", "a: [\n".to_owned(), "it is not YAML"),
        ("a_list", "- tls_server_config\n".to_owned(), ":1: it has to be a mapping of keys to values, and is a list"),
        (
            "no_key",
            "tls_server_config:\n  cert_file: server.crt\n".to_owned(),
            "tls_server_config.key_file: it is missing",
        ),
        (
            "no_cert",
            "tls_server_config:\n  key_file: server.key\n".to_owned(),
            "tls_server_config.cert_file: it is missing",
        ),
        (
            "empty_cert",
            "tls_server_config:\n  cert_file: ''\n  key_file: server.key\n".to_owned(),
            "cert_file: it is missing",
        ),
        ("gone", TLS.replace("server.crt", "gone.crt"), "cannot read the certificate"),
        ("mismatch", TLS.replace("server.key", "other.key"), "is not that of the certificate"),
        ("junk", TLS.replace("server.key", "junk"), "there is no private key"),
        ("ca_without_auth", tls("  client_ca_file: ca.crt\n"), "a client CA is given, but clients are not asked"),
        (
            "ca_gone",
            tls("  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: no\n"),
            "cannot read the client CA",
        ),
        (
            "auth_unknown",
            tls("  client_auth_type: Always\n"),
            ":4: tls_server_config.client_auth_type: \"Always\" is none",
        ),
        (
            "version_unknown",
            tls("  min_version: TLS111\n"),
            ":4: tls_server_config.min_version: \"TLS111\" is no version",
        ),
        ("suite_unknown", tls("  cipher_suites: [TLS_SECRET]\n"), "\"TLS_SECRET\" is no cipher suite"),
        ("curve_unknown", tls("  curve_preferences: [CurveP1]\n"), "\"CurveP1\" is no curve"),
        ("no_list", tls("  cipher_suites: {a: b}\n"), ":4: tls_server_config.cipher_suites: it has to be a list"),
        ("no_hash", "basic_auth_users:\n  alice: secret\n".to_owned(), "basic_auth_users: what is given as the hash"),
        ("users_as_list", "basic_auth_users: [alice]\n".to_owned(), "basic_auth_users: it has to be a mapping"),
        ("header", "http_server_config: {headers: {X-Other: 1}}\n".to_owned(), "headers.X-Other: there is no such key"),
        ("frame", "http_server_config: {headers: {X-Frame-Options: no}}\n".to_owned(), "it can be deny or sameorigin"),
        (
            "http2",
            "http_server_config: {http2: 3}\n".to_owned(),
            "http_server_config.http2: it has to be true or false",
        ),
    ]
}

/// What newer references accept, and ours.
fn accepted_now(pki: &Pki) -> Vec<(&'static str, String)> {
    let indented = |pem: &str| pem.lines().map(|line| format!("    {line}\n")).collect::<String>();
    let inline = format!(
        "tls_server_config:\n  cert: |\n{}  key: |\n{}  client_ca: |\n{}  client_auth_type: RequireAndVerifyClientCert\n",
        indented(&pki.server.certificate),
        indented(&pki.server.key),
        indented(&pki.authority.pem)
    );
    vec![
        ("inline", inline),
        (
            "sans",
            format!(
                "{TLS}  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.crt\n  client_allowed_sans:\n  - a\n"
            ),
        ),
        ("rate", "rate_limit:\n  interval: \"1s\" # time\n  burst: 20\n".to_owned()),
        ("no_rate", "rate_limit:\n  interval: 0\n".to_owned()),
    ]
}

fn folder() -> Pki {
    let pki = Pki::new();
    pki.folder.write("other.key", &pki.authority.server().key);
    pki.folder.write("junk", "junk");
    pki
}

fn write(pki: &Pki, name: &str, text: &str) -> PathBuf {
    pki.folder.write(&format!("{name}.yml"), &text.replace("FOLDER", &pki.path("").display().to_string()))
}

#[test]
fn what_the_reference_accepts_is_accepted_and_served() {
    let pki = folder();
    for (name, text) in accepted().into_iter().chain(accepted_now(&pki)) {
        let path = write(&pki, name, &text);
        check_web_config(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
        drop(serve(&path));
    }
}

#[test]
fn what_the_reference_refuses_is_refused_with_the_place_and_the_remedy() {
    let pki = folder();
    for (name, text, part) in refused() {
        let path = write(&pki, name, &text);
        let error = check_web_config(&path).expect_err(name).to_string();
        assert!(error.contains(part) && error.contains(&path.display().to_string()), "{name}: {error}");
        assert!(!error.contains("secret"), "{error}");
        assert!(matches!(try_serve(&path), Err(ServeError::WebConfig(_))), "{name}");
    }
}

#[test]
fn promtool_is_of_the_same_opinion() {
    let pki = folder();
    let promtool = |path: &Path| {
        let mut promtool = telemetry_testkit::peer::promtool()?;
        let output = promtool.args(["check", "web-config"]).arg(path).output().unwrap();
        Some((output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned()))
    };
    for (name, text) in accepted() {
        let Some((is_accepted, told)) = promtool(&write(&pki, name, &text)) else { return };
        assert!(is_accepted, "{name}: {told}");
    }
    for (name, text, _) in refused() {
        let Some((is_accepted, _)) = promtool(&write(&pki, name, &text)) else { return };
        assert!(!is_accepted, "{name} is refused by ours alone");
    }
}

/// The file that the guide shows is one, and its password is the one that it says.
#[test]
fn the_file_of_the_guide_is_taken() {
    let guide = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/securing.md")).unwrap();
    let (_, rest) = guide.split_once("```yaml\n").unwrap();
    let (text, _) = rest.split_once("```").unwrap();
    let pki = folder();
    std::fs::copy(pki.path("ca.crt"), pki.path("scrapers.crt")).unwrap();
    let path = write(&pki, "guide", text);
    check_web_config(&path).unwrap_or_else(|error| panic!("{error}"));
    if let Some(mut promtool) = telemetry_testkit::peer::promtool() {
        assert!(promtool.args(["check", "web-config"]).arg(&path).output().unwrap().status.success());
    }
    let hash = text.split("prometheus: ").nth(1).and_then(|rest| rest.split_whitespace().next()).unwrap();
    assert!(bcrypt::verify("example", hash).unwrap() && guide.contains("--user prometheus:example"), "{hash}");
}

#[test]
fn what_only_ours_refuses_is_told() {
    let pki = folder();
    for (name, text, part) in [
        ("verify_by_nobody", format!("{TLS}  client_auth_type: RequireAndVerifyClientCert\n"), "no authority is given"),
        ("old_versions", format!("{TLS}  max_version: TLS11\n"), "TLS11 can be broken"),
        ("order", format!("{TLS}  min_version: TLS13\n  max_version: TLS12\n"), "min_version is above max_version"),
        ("one_curve", format!("{TLS}  curve_preferences: [CurveP521]\n"), "CurveP521 only"),
        ("no_burst", "rate_limit: {interval: 1s}\n".to_owned(), "rate_limit.burst: it has to be 1 at least"),
        (
            "no_interval",
            "rate_limit: {interval: often, burst: 1}\n".to_owned(),
            "rate_limit.interval: it has to be a duration",
        ),
    ] {
        let error = check_web_config(write(&pki, name, &text)).expect_err(name).to_string();
        assert!(error.contains(part), "{name}: {error}");
    }
    let error = check_web_config(pki.path("gone.yml")).unwrap_err();
    assert!(matches!(error, WebConfigError::Read { .. }), "{error:?}");
}

#[test]
fn what_the_file_says_is_what_is_served() {
    let pki = folder();
    let file = format!(
        "{TLS}  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.crt\n  max_version: TLS12\n\
         basic_auth_users:\n  alice: {}\nhttp_server_config:\n  headers:\n    X-Frame-Options: deny\n",
        hash("secret")
    );
    let server = serve(&write(&pki, "all", &file));
    let address = server.local_addr();
    assert!(pki.client().get(address, "/metrics").is_err(), "a certificate is required");
    let known = || pki.client().identity(&pki.authority.client(Vec::new()));
    let answer = known().get(address, "/metrics").unwrap();
    assert_eq!(answer.status, 401);
    assert!(
        answer.has("X-Frame-Options: deny")
            && answer.has("WWW-Authenticate: Basic realm=\"metrics\", charset=\"UTF-8\"")
    );
    let known = known().header(&authorization("alice:secret"));
    let answer = known.only(&TLS12).get(address, "/metrics").unwrap();
    assert_eq!((answer.status, &*answer.body), (200, "one 1\n"));
    assert!(answer.has("X-Frame-Options: deny"), "{}", answer.head);
}

#[test]
fn requests_beyond_the_rate_are_told_to_come_later() {
    let pki = folder();
    let server = serve(&write(&pki, "rate", "rate_limit: {interval: 1h, burst: 3}\n"));
    let statuses: Vec<u16> = (0..5).map(|_| get(&server, "").status).collect();
    assert_eq!(statuses, [200, 200, 200, 429, 429]);
    assert_eq!(server.guard().limited, 2);
}

#[test]
fn what_the_code_says_counts_as_well() {
    let pki = folder();
    let path = write(&pki, "users", &format!("basic_auth_users: {{alice: '{}'}}\n", hash("secret")));
    let access = Access::new().allow("127.0.0.1").token("token");
    let builder = Server::builder().listen("127.0.0.1:0").access(access).web_config(&path);
    let server = builder.clone().serve(opens(|_| Ok(text("one 1\n")))).unwrap();
    assert_eq!((get(&server, "").status, get(&server, "alice:secret").status), (401, 200));
    let mut client = Client::connect(server.local_addr());
    client.send("GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer token\r\n\r\n");
    assert_eq!(client.response().status, 200);

    let tls = Tls::files(pki.path("server.crt"), pki.path("server.key"));
    let server = builder.clone().tls(tls.clone()).serve(opens(|_| Ok(text("one 1\n")))).unwrap();
    assert_eq!(pki.client().get(server.local_addr(), "/metrics").unwrap().status, 401);
    let path = write(&pki, "tls", TLS);
    let error = builder.web_config(path).tls(tls).serve(opens(|_| Ok(text("")))).unwrap_err();
    assert!(matches!(error, ServeError::TwoTls { .. }), "{error:?}");
}

#[test]
fn a_changed_file_is_taken_over_and_a_broken_one_is_not() {
    let pki = folder();
    let users = |password: &str| format!("basic_auth_users:\n  alice: {}\n", hash(password));
    let path = write(&pki, "web", &users("first"));
    let server = serve(&path);
    assert_eq!((get(&server, "alice:first").status, get(&server, "alice:second").status), (200, 401));

    fs::write(&path, users("second")).unwrap();
    wait("the new password", || get(&server, "alice:second").status == 200);
    assert_eq!(get(&server, "alice:first").status, 401, "what was right before is forgotten");
    assert_eq!(server.guard().reloads, 1);

    fs::write(&path, "basic_auth_user:\n").unwrap();
    wait("the broken file to be seen", || {
        assert_eq!(get(&server, "alice:second").status, 200);
        server.guard().reload_error.is_some()
    });
    let error = server.guard().reload_error.unwrap();
    assert!(error.contains("basic_auth_user: there is no such key"), "{error}");

    replace(&path, TLS);
    wait("the switch to be seen", || {
        assert_eq!(get(&server, "alice:second").status, 200);
        server.guard().reload_error.is_some_and(|error| error.contains("cannot be switched on"))
    });
    fs::remove_file(&path).unwrap();
    wait("the removal to be seen", || {
        assert_eq!(get(&server, "alice:second").status, 200, "nobody gets in without");
        server.guard().reload_error.is_some_and(|error| error.contains("cannot read the web configuration"))
    });

    replace(&path, "");
    wait("the end of passwords", || get(&server, "").status == 200);
    assert_eq!(server.guard().reload_error, None);
}

#[test]
fn a_changed_certificate_is_taken_over_and_so_is_a_changed_section() {
    let pki = folder();
    let path = write(&pki, "web", TLS);
    let server = serve(&path);
    let renewed = pki.authority.server();
    replace(&pki.path("server.crt"), &renewed.certificate);
    replace(&pki.path("server.key"), &renewed.key);
    let ask = || pki.client().get(server.local_addr(), "/metrics");
    wait("the renewed certificate", || ask().unwrap().certificate == secure::der(&renewed.certificate));
    replace(&path, &format!("{TLS}  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.crt\n"));
    wait("certificates to be asked for", || ask().is_err());
}
