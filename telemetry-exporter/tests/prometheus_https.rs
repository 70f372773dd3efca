//! A real Prometheus scrapes over HTTPS with a password, a token and a certificate, by the configuration that an operator would write.
#![cfg(feature = "web-config")]

mod prometheus_server;
mod secure;

use prometheus_server::Prometheus;
use secure::{Pki, wait};
use telemetry_core::{Dispatch, emit, metric::counter};
use telemetry_exporter::Exporter;
use telemetry_exporter::serve::{Access, Tls};

fn exporter(count: u32, build: impl FnOnce(telemetry_exporter::Builder) -> telemetry_exporter::Builder) -> Exporter {
    let dispatch = Dispatch::new();
    let builder = Exporter::builder().dispatch(&dispatch).metric(counter("https.hit.count")).listen("127.0.0.1:0");
    let exporter = build(builder).serve().unwrap();
    dispatch.run(|| (0..count).for_each(|_| emit!("https.hit")));
    exporter
}

#[test]
fn prometheus_scrapes_with_passwords_tokens_and_certificates() {
    let Some(program) = telemetry_testkit::peer::prometheus() else { return };
    let pki = Pki::new();
    let hash = bcrypt::hash_with_salt("secret", 10, *b"sixteen bytes...").unwrap();
    let web = format!(
        "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\nbasic_auth_users:\n  scraper: {hash}\n"
    );
    let web = pki.folder.write("web.yml", &web);
    let scraper = pki.authority.client(Vec::new());
    pki.folder.write("client.crt", &scraper.certificate);
    pki.folder.write("client.key", &scraper.key);

    let by_password = exporter(3, |builder| builder.web_config(web));
    let by_token = exporter(4, |builder| builder.access(Access::new().allow("127.0.0.0/8").token("t0ken")));
    let tls = Tls::files(pki.path("server.crt"), pki.path("server.key")).client_ca_file(pki.path("ca.crt"));
    let by_certificate = exporter(5, |builder| builder.tls(tls));

    let path = |name: &str| pki.path(name).display().to_string();
    let tls = format!("scheme: https\ntls_config:\n  ca_file: {}\n  server_name: localhost\n", path("ca.crt"));
    let password = |password: &str| format!("{tls}basic_auth:\n  username: scraper\n  password: {password}\n");
    let token = "authorization:\n  credentials: t0ken\n".to_owned();
    let certificate = format!("{tls}  cert_file: {}\n  key_file: {}\n", path("client.crt"), path("client.key"));
    let targets = [
        ("password", by_password.local_addr(), password("secret")),
        ("wrong", by_password.local_addr(), password("guess")),
        ("token", by_token.local_addr(), token),
        ("certificate", by_certificate.local_addr(), certificate),
        ("stranger", by_certificate.local_addr(), tls.clone()),
    ];
    let prometheus = Prometheus::start_with(program, &targets);
    wait("three scrapes of each", || targets.iter().all(|(job, ..)| prometheus.scrapes_of(job) >= 3));
    let value = |job: &str, metric: &str| {
        prometheus.query(&format!("{metric}{{job=\"{job}\"}}")).first().map(|(_, value)| *value)
    };
    for (job, count) in [("password", 3.0), ("token", 4.0), ("certificate", 5.0)] {
        assert_eq!((value(job, "up"), value(job, "https_hit_total")), (Some(1.0), Some(count)), "{job}");
    }
    for job in ["wrong", "stranger"] {
        assert_eq!((value(job, "up"), value(job, "https_hit_total")), (Some(0.0), None), "{job}");
    }
    // What went on is exposed: one check for the right password, one for each guess.
    let stats = by_password.guard();
    assert_eq!(stats.passwords_checked, stats.unauthorized + 1);
    let refused = prometheus.query("telemetry_endpoint_refusals_total{job=\"password\",reason=\"unauthorized\"}");
    assert!(refused[0].1 >= 1.0, "{refused:?}");
    assert_eq!(value("password", "telemetry_endpoint_reload_ok"), Some(1.0));
    assert!(by_certificate.guard().handshakes_failed >= 3);
}
