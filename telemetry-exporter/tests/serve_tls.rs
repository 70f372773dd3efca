//! TLS, seen by other implementations of it: who is let in, what is refused, and certificates that change.
#![cfg(feature = "tls")]

mod secure;
mod serve_client;

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::process::Stdio;
use std::time::Duration;

use rcgen::SanType;
use rustls::version::{TLS12, TLS13};
use secure::{Authority, Https, Pki, der, replace, wait};
use serve_client::{CHUNK, LONG, letters, opens, text};
use telemetry_exporter::serve::{ClientAuth, Limits, ServeError, Server, Tls, TlsError, TlsVersion};

fn try_serve(tls: Tls, limits: Limits) -> Result<Server, ServeError> {
    let exposition = opens(|scrape| if scrape.query == Some("large") { Ok(letters(40)) } else { Ok(text("one 1\n")) });
    Server::builder().listen("127.0.0.1:0").tls(tls).limits(limits).serve(exposition)
}

fn serve(tls: Tls) -> Server {
    try_serve(tls, Limits::default()).unwrap()
}

fn files(pki: &Pki) -> Tls {
    Tls::files(pki.path("server.crt"), pki.path("server.key"))
}

fn is_served(client: &Https, server: &Server) -> bool {
    client.get(server.local_addr(), "/metrics").is_ok_and(|answer| answer.status == 200 && answer.body == "one 1\n")
}

fn refusal(tls: Tls) -> TlsError {
    match try_serve(tls, Limits::default()) {
        Err(ServeError::Tls(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn both_versions_are_spoken_and_a_large_body_comes_whole() {
    let pki = Pki::new();
    let server = serve(files(&pki));
    for version in [&TLS12, &TLS13] {
        assert!(is_served(&pki.client().only(version), &server), "{version:?}");
        let answer = pki.client().only(version).get(server.local_addr(), "/metrics?large").unwrap();
        assert!(answer.body.len() > 40 * CHUNK, "{}", answer.body.len());
    }
    assert_eq!(server.guard().handshakes_failed, 0);
    server.shutdown(LONG).unwrap();
}

#[test]
fn certificates_can_be_given_as_texts() {
    let pki = Pki::new();
    let tls = Tls::pem(&*pki.server.certificate, &*pki.server.key).client_ca_pem(&*pki.authority.pem);
    let server = serve(tls);
    assert!(is_served(&pki.client().identity(&pki.authority.client(Vec::new())), &server));
}

#[test]
fn a_client_of_http_2_is_served_http_1() {
    let pki = Pki::new();
    let server = serve(files(&pki));
    let answer = pki.client().alpn(&["h2", "http/1.1"]).get(server.local_addr(), "/metrics").unwrap();
    assert_eq!((answer.status, answer.protocol.as_deref()), (200, Some("http/1.1")));
}

#[test]
fn curl_scrapes_it_and_does_so_only_if_it_trusts_the_authority() {
    let Some(mut curl) = telemetry_testkit::peer::curl() else { return };
    let pki = Pki::new();
    let server = serve(files(&pki));
    let url = format!("https://localhost:{}/metrics", server.local_addr().port());
    let output = curl.args(["-sS", "--cacert"]).arg(pki.path("ca.crt")).arg(&url).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "one 1\n", "{}", String::from_utf8_lossy(&output.stderr));
    let Some(mut curl) = telemetry_testkit::peer::curl() else { return };
    assert_eq!(curl.args(["-sS", &url]).output().unwrap().status.code(), Some(60));
}

#[test]
fn versions_that_can_be_broken_are_refused() {
    let Some(mut openssl) = telemetry_testkit::peer::openssl() else { return };
    let pki = Pki::new();
    let server = serve(files(&pki));
    let address = server.local_addr().to_string();
    let mut ask = |version: &str| {
        // At its usual level of security it would not even offer them.
        let ciphers = ["-cipher", "DEFAULT:@SECLEVEL=0"];
        let command = openssl.args(["s_client", "-connect", &address, version]).args(ciphers);
        let output = command.stdin(Stdio::null()).output().unwrap();
        openssl = telemetry_testkit::peer::openssl().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    };
    for version in ["-tls1", "-tls1_1"] {
        let told = ask(version);
        assert!(told.contains("SSL alert number") && told.contains("Cipher is (NONE)"), "{version}: {told}");
    }
    let told = ask("-tls1_2");
    assert!(told.contains("Protocol  : TLSv1.2"), "{told}");
    wait("both to be counted", || server.guard().handshakes_failed == 2);
}

#[test]
fn the_versions_can_be_narrowed() {
    let pki = Pki::new();
    let (newer, older) =
        (serve(files(&pki).min_version(TlsVersion::Tls13)), serve(files(&pki).max_version(TlsVersion::Tls12)));
    let (tls12, tls13) = (pki.client().only(&TLS12), pki.client().only(&TLS13));
    assert_eq!((is_served(&tls12, &newer), is_served(&tls13, &newer)), (false, true));
    assert_eq!((is_served(&tls12, &older), is_served(&tls13, &older)), (true, false));
    let tls = files(&pki).min_version(TlsVersion::Tls13).max_version(TlsVersion::Tls12);
    assert!(matches!(refusal(tls), TlsError::Versions));
}

#[test]
fn cipher_suites_and_curves_are_those_that_were_named() {
    let pki = Pki::new();
    let suite = "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256";
    let server =
        serve(files(&pki).cipher_suites([suite, "TLS_RSA_WITH_AES_128_CBC_SHA"]).curves(["CurveP384", "CurveP521"]));
    let answer = pki.client().only(&TLS12).get(server.local_addr(), "/metrics").unwrap();
    assert_eq!((answer.status, &*answer.suite), (200, suite));
    // Only suites of TLS 1.3 are left.
    let server = serve(files(&pki).cipher_suites(["TLS_RSA_WITH_AES_128_CBC_SHA"]));
    assert!(!is_served(&pki.client().only(&TLS12), &server));
    assert!(is_served(&pki.client(), &server));

    let none = files(&pki).cipher_suites(["TLS_RSA_WITH_AES_128_CBC_SHA"]).max_version(TlsVersion::Tls12);
    assert!(matches!(refusal(none), TlsError::NoSuite));
    assert!(
        matches!(refusal(files(&pki).cipher_suites(["TLS_SECRET"])), TlsError::Suite { name } if name == "TLS_SECRET")
    );
    assert!(matches!(refusal(files(&pki).curves(["CurveP521"])), TlsError::NoCurve));
    assert!(matches!(refusal(files(&pki).curves(["P256"])), TlsError::Curve { .. }));
}

/// Whether each client is served: without a certificate, with one of a stranger, with one of the authority's.
fn admitted(pki: &Pki, auth: ClientAuth) -> [bool; 3] {
    let tls = files(pki).client_auth(auth);
    let verifies = matches!(auth, ClientAuth::VerifyIfGiven | ClientAuth::RequireAndVerify);
    let server = serve(if verifies { tls.client_ca_file(pki.path("ca.crt")) } else { tls });
    let stranger = Authority::new().client(Vec::new());
    let known = pki.authority.client(Vec::new());
    [pki.client(), pki.client().identity(&stranger), pki.client().identity(&known)]
        .map(|client| is_served(&client, &server))
}

#[test]
fn certificates_of_clients_are_asked_for_as_told() {
    let pki = Pki::new();
    assert_eq!(admitted(&pki, ClientAuth::None), [true, true, true]);
    assert_eq!(admitted(&pki, ClientAuth::Request), [true, true, true]);
    assert_eq!(admitted(&pki, ClientAuth::RequireAny), [false, true, true]);
    assert_eq!(admitted(&pki, ClientAuth::VerifyIfGiven), [true, false, true]);
    assert_eq!(admitted(&pki, ClientAuth::RequireAndVerify), [false, false, true]);
}

#[test]
fn a_server_certificate_is_not_one_of_a_client() {
    let pki = Pki::new();
    let server = serve(files(&pki).client_ca_file(pki.path("ca.crt")));
    assert!(!is_served(&pki.client().identity(&pki.server), &server));
    wait("it to be counted", || server.guard().handshakes_failed == 1);
}

#[test]
fn a_client_needs_one_of_the_names() {
    let pki = Pki::new();
    let names = ["scraper.example", "10.1.2.3", "ops@example.org", "spiffe://example/scraper", "2001:db8::1"];
    let server = serve(files(&pki).client_ca_file(pki.path("ca.crt")).client_allowed_sans(names));
    let has = |names: Vec<SanType>| is_served(&pki.client().identity(&pki.authority.client(names)), &server);
    let dns = |name: &str| SanType::DnsName(name.try_into().unwrap());
    assert!(has(vec![dns("scraper.example")]));
    assert!(has(vec![dns("other.example"), SanType::IpAddress(IpAddr::from([10, 1, 2, 3]))]));
    assert!(has(vec![SanType::IpAddress("2001:db8::1".parse().unwrap())]));
    assert!(has(vec![SanType::Rfc822Name("ops@example.org".try_into().unwrap())]));
    assert!(has(vec![SanType::URI("spiffe://example/scraper".try_into().unwrap())]));
    assert!(!has(Vec::new()));
    assert!(!has(vec![dns("*.example"), dns("a.scraper.example"), dns("ops@example.org.example")]));
    assert!(!has(vec![SanType::IpAddress(IpAddr::from([10, 1, 2, 4]))]));
}

#[test]
fn what_asks_for_nobody_or_everybody_by_mistake_is_an_error() {
    let pki = Pki::new();
    let verify = files(&pki).client_auth(ClientAuth::RequireAndVerify);
    assert!(matches!(refusal(verify), TlsError::AuthorityMissing));
    let unused = files(&pki).client_ca_file(pki.path("ca.crt")).client_auth(ClientAuth::None);
    assert!(matches!(refusal(unused), TlsError::AuthorityUnused));
    let sans = files(&pki).client_auth(ClientAuth::Request).client_allowed_sans(["x"]);
    assert!(matches!(refusal(sans), TlsError::SansWithoutCertificate));
}

#[test]
fn what_is_wrong_with_files_is_told_with_their_names() {
    let pki = Pki::new();
    let other = pki.authority.server();
    let told = |tls: Tls| refusal(tls).to_string();
    let path = |name: &str| pki.path(name);
    let key_of_other = pki.folder.write("other.key", &other.key);
    let text = told(Tls::files(path("server.crt"), &key_of_other));
    assert!(text.contains("other.key is not that of the certificate in") && text.contains("server.crt"), "{text}");
    let text = told(Tls::files(path("none.crt"), path("server.key")));
    assert!(text.contains("cannot read the certificate") && text.contains("none.crt"), "{text}");
    let text = told(Tls::files(path("server.key"), path("server.key")));
    assert!(text.contains("there is no certificate in") && text.contains("server.key"), "{text}");
    let text = told(Tls::files(path("server.crt"), path("server.crt")));
    assert!(text.contains("there is no private key in") && text.contains("server.crt"), "{text}");
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let text = told(Tls::files(path("server.crt"), pki.folder.write("enc.key", encrypted)));
    assert!(text.contains("it is encrypted"), "{text}");
    let text = told(Tls::files(pki.folder.write("cut.crt", &pki.server.certificate[..200]), path("server.key")));
    assert!(text.contains("the certificate in") && text.contains("is broken"), "{text}");
    let nonsense = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let text = told(Tls::files(pki.folder.write("bad.crt", nonsense), path("server.key")));
    assert!(text.contains("bad.crt is not a certificate of X.509"), "{text}");
    let text = told(files(&pki).client_ca_file(path("bad.crt")));
    assert!(text.contains("the client CA in"), "{text}");
    // A folder is no file to read; a pipe would stop the server.
    let text = told(Tls::files(pki.folder.path(""), path("server.key")));
    assert!(text.contains("cannot read the certificate"), "{text}");
}

/// The certificate that a new connection is shown.
fn shown(client: &Https, address: SocketAddr) -> Vec<u8> {
    client.get(address, "/metrics").unwrap().certificate
}

#[test]
fn renewed_certificates_are_used_by_new_connections_and_broken_ones_are_not() {
    let pki = Pki::new();
    let server = serve(files(&pki));
    let (address, client) = (server.local_addr(), pki.client());
    assert_eq!(shown(&client, address), der(&pki.server.certificate));
    let mut kept = client.connect(address).unwrap();

    // In the midst of a renewal the key is not that of the certificate; what was there goes on.
    let renewed = pki.authority.server();
    replace(&pki.path("server.crt"), &renewed.certificate);
    wait("the half of a renewal to be seen", || {
        assert_eq!(shown(&client, address), der(&pki.server.certificate));
        server.guard().reloads_failed == 1
    });
    let error = server.guard().reload_error.expect("it is told");
    assert!(error.contains("is not that of the certificate"), "{error}");
    replace(&pki.path("server.key"), &renewed.key);
    wait("the renewed certificate", || shown(&client, address) == der(&renewed.certificate));
    assert_eq!((server.guard().reloads, server.guard().reload_error), (1, None));

    // A connection that was there goes on with what it began with.
    kept.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").unwrap();
    let mut response = String::new();
    kept.read_to_string(&mut response).unwrap();
    assert!(response.ends_with("one 1\n"), "{response}");
}

#[test]
fn an_authority_that_is_replaced_is_trusted_no_longer() {
    let pki = Pki::new();
    let server = serve(files(&pki).client_ca_file(pki.path("ca.crt")));
    let before = pki.client().identity(&pki.authority.client(Vec::new()));
    let next = Authority::new();
    let after = pki.client().identity(&next.client(Vec::new()));
    assert_eq!((is_served(&before, &server), is_served(&after, &server)), (true, false));
    replace(&pki.path("ca.crt"), &next.pem);
    wait("the new authority", || is_served(&after, &server));
    assert!(!is_served(&before, &server));
}

#[test]
fn a_handshake_that_does_not_end_is_dropped_and_keeps_nobody_out() {
    let pki = Pki::new();
    let limits = Limits::default().connections(4).head_time(Duration::from_millis(500));
    let server = try_serve(files(&pki), limits).unwrap();
    let silent: Vec<TcpStream> = (0..4).map(|_| TcpStream::connect(server.local_addr()).unwrap()).collect();
    let mut half = TcpStream::connect(server.local_addr()).unwrap();
    half.write_all(&[22, 3, 1, 1, 0, 1]).unwrap();
    assert!(is_served(&pki.client(), &server), "silent clients keep others out");
    for mut stream in silent.into_iter().chain([half]) {
        stream.set_read_timeout(Some(LONG)).unwrap();
        // An end, or a reset.
        assert!(matches!(stream.read(&mut [0; 64]), Ok(0) | Err(_)));
    }
    // Those that made room were not counted.
    wait("it to be counted", || server.guard().handshakes_failed >= 1);
}

#[test]
fn plain_text_and_noise_are_not_answered() {
    let pki = Pki::new();
    let server = serve(files(&pki));
    for noise in [&b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"[..], &[0xff; 1000]] {
        let mut stream = TcpStream::connect(server.local_addr()).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream.write_all(noise).unwrap();
        let mut answer = Vec::new();
        // It may be a reset, as not everything was read.
        let _ = stream.read_to_end(&mut answer);
        assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    }
    wait("both to be counted", || server.guard().handshakes_failed == 2);
    assert!(is_served(&pki.client(), &server));
}

#[test]
fn a_client_that_reads_nothing_is_cut() {
    let pki = Pki::new();
    let limits = Limits::default().stall_time(Duration::from_millis(300));
    let endless = opens(|_| Ok(letters(100_000)));
    let server = Server::builder().listen("127.0.0.1:0").tls(files(&pki)).limits(limits).serve(endless).unwrap();
    let mut stream = pki.client().connect(server.local_addr()).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    stream.flush().unwrap();
    stream.sock.peek(&mut [0]).unwrap();
    wait("the cut", || stream.sock.write_all(&[0]).is_err());
}

/// What TLS has encrypted and the system has not taken is not sent: for some length that is all that is left.
#[test]
fn a_server_that_says_it_cut_nothing_has_sent_everything() {
    let pki = Pki::new();
    let mut cut = 0;
    for chunks in 2..48 {
        let server = Server::builder().listen("127.0.0.1:0").tls(files(&pki));
        let server = server.serve(opens(move |_| Ok(letters(chunks)))).unwrap();
        let mut stream = pki.client().connect(server.local_addr()).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        stream.sock.peek(&mut [0]).unwrap();
        std::thread::sleep(Duration::from_millis(50));
        let is_whole = server.shutdown(Duration::ZERO).is_ok();
        let mut response = Vec::new();
        // The end may be a reset, or lack the word of TLS that it is one.
        let _ = stream.read_to_end(&mut response);
        assert!(!is_whole || response.ends_with(b"\r\n0\r\n\r\n"), "{chunks}: {} bytes", response.len());
        cut += usize::from(!is_whole);
    }
    assert!(cut > 0, "everything fits into the system's buffers");
}

#[test]
fn a_key_is_not_shown() {
    let pki = Pki::new();
    let shown = format!("{:?}", Tls::pem(&*pki.server.certificate, &*pki.server.key));
    assert!(!shown.contains("BEGIN"), "{shown}");
}
