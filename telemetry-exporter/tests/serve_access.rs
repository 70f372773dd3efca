//! Who may ask: by network, password and token.

mod serve_client;

use serve_client::{Client, Response, opens, text};
use telemetry_exporter::serve::{Access, AccessError, ServeError, Server};

fn builder(access: Access) -> Result<Server, ServeError> {
    Server::builder().listen("127.0.0.1:0").access(access).serve(opens(|_| Ok(text("one 1\n"))))
}

fn get(server: &Server, path: &str, headers: &str) -> Response {
    let mut client = Client::connect(server.local_addr());
    client.send(&format!("GET {path} HTTP/1.1\r\nHost: test\r\n{headers}\r\n")).response()
}

#[test]
fn a_client_of_another_network_is_forbidden_every_page() {
    let server = builder(Access::new().allow("10.0.0.0/8").allow("::1")).unwrap();
    for path in ["/metrics", "/metrics.json", "/", "/-/healthy", "/none"] {
        let response = get(&server, path, "");
        assert_eq!((response.status, response.text()), (403, "this address may not ask here\n"), "{path}");
    }
    assert_eq!(server.guard().forbidden, 5);
}

#[test]
fn a_client_of_an_allowed_network_is_served() {
    let server = builder(Access::new().allow("10.0.0.0/8").allow("127.0.0.0/8")).unwrap();
    assert_eq!(get(&server, "/metrics", "").text(), "one 1\n");
    assert_eq!(server.guard(), telemetry_exporter::serve::GuardStats::default());
}

#[test]
fn a_client_of_version_4_is_itself_on_a_socket_for_both_versions() {
    let listen = |access| Server::builder().listen("[::]:0").access(access).serve(opens(|_| Ok(text("one 1\n"))));
    // Where the machine has no version 6 there is nothing to see.
    let Ok(server) = listen(Access::new().allow("127.0.0.0/8")) else { return };
    let mut client = Client::connect(([127, 0, 0, 1], server.local_addr().port()).into());
    assert_eq!(client.get("/metrics").status, 200);
}

#[test]
fn what_cannot_be_is_an_error_when_the_server_starts() {
    let error = builder(Access::new().allow("10.0.0.1/8")).unwrap_err();
    assert!(matches!(error, ServeError::Access(AccessError::HostBits { .. })), "{error:?}");
    assert!(error.to_string().contains("write 10.0.0.0/8"), "{error}");
}

#[cfg(feature = "auth")]
mod auth {
    use std::time::Duration;

    use base64::Engine as _;

    use super::*;

    fn hash(password: &str, cost: u32) -> String {
        bcrypt::hash_with_salt(password, cost, *b"sixteen bytes...").unwrap().to_string()
    }

    fn basic(credentials: &str) -> String {
        format!("Authorization: Basic {}\r\n", base64::engine::general_purpose::STANDARD.encode(credentials))
    }

    fn challenges(response: &Response) -> Vec<&str> {
        let headers = response.headers.iter();
        headers.filter(|(name, _)| name == "www-authenticate").map(|(_, value)| &**value).collect()
    }

    #[test]
    fn who_knows_the_password_is_served_and_nobody_else() {
        let access = Access::new().user("alice", hash("sec:ret", 4)).user("bob", hash("other", 5));
        let server = builder(access).unwrap();
        for headers in ["alice:sec:ret", "bob:other"] {
            let response = get(&server, "/metrics", &basic(headers));
            assert_eq!((response.status, response.text()), (200, "one 1\n"), "{headers}");
        }
        let wrong = ["alice:other", "alice:", "alice", ":", "mallory:sec:ret", "bob:sec:ret", "Alice:sec:ret"];
        for credentials in wrong {
            let response = get(&server, "/metrics", &basic(credentials));
            assert_eq!(response.status, 401, "{credentials}");
            assert_eq!(challenges(&response), ["Basic realm=\"metrics\", charset=\"UTF-8\""]);
        }
        for headers in ["", "Authorization: Basic\r\n", "Authorization: Bearer sec:ret\r\n", "Authorization: x y\r\n"] {
            assert_eq!(get(&server, "/", headers).status, 401, "{headers}");
        }
        assert_eq!(server.guard().unauthorized, 11);
    }

    #[test]
    fn the_right_password_is_checked_once() {
        let server = builder(Access::new().user("alice", hash("secret", 4))).unwrap();
        for _ in 0..5 {
            assert_eq!(get(&server, "/metrics", &basic("alice:secret")).status, 200);
        }
        assert_eq!(server.guard().passwords_checked, 1);
        for credentials in ["alice:wrong", "mallory:wrong", "alice:wrong"] {
            assert_eq!(get(&server, "/metrics", &basic(credentials)).status, 401);
        }
        assert_eq!(server.guard().passwords_checked, 4, "an unknown user costs as much as a known one");
        assert_eq!(get(&server, "/metrics", &basic("alice:secret")).status, 200);
        assert_eq!(server.guard().passwords_checked, 4);
    }

    #[test]
    fn a_password_that_takes_long_to_check_does_not_hold_up_others() {
        // At this cost a check takes minutes.
        let access = Access::new().user("slow", hash("x", 4).replacen("$04$", "$20$", 1)).token("token");
        let server = builder(access).unwrap();
        let mut slow = Client::connect(server.local_addr());
        slow.send(&format!("GET /metrics HTTP/1.1\r\nHost: test\r\n{}\r\n", basic("slow:guess")));
        while server.guard().passwords_checked == 0 {
            std::thread::sleep(Duration::from_millis(5));
        }
        for _ in 0..20 {
            assert_eq!(get(&server, "/metrics", "Authorization: Bearer token\r\n").status, 200);
        }
        // A few may wait for their turn, and the next is told to come again.
        let mut waiting: Vec<Client> = Vec::new();
        let refused = loop {
            let mut client = Client::connect(server.local_addr());
            client.send(&format!("GET /metrics HTTP/1.1\r\nHost: test\r\n{}\r\n", basic("slow:guess")));
            client.stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
            if client.stream.peek(&mut [0]).is_ok() {
                break client.response();
            }
            waiting.push(client);
            assert!(waiting.len() < 64, "nobody is refused");
        };
        assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
        assert_eq!((waiting.len(), server.guard().busy), (15, 1));
        // Nor does it hold up the end.
        let _ = server.shutdown(Duration::ZERO);
    }

    #[test]
    fn who_sends_the_token_is_served_and_nobody_else() {
        let server = builder(Access::new().token("abc-123").token("def").user("alice", hash("secret", 4))).unwrap();
        for headers in ["Authorization: Bearer abc-123\r\n", "authorization: bearer  def\r\n"] {
            assert_eq!(get(&server, "/metrics", headers).status, 200, "{headers}");
        }
        for token in ["", "abc", "abc-1234", "abc-123,def", "ABC-123"] {
            let response = get(&server, "/metrics", &format!("Authorization: Bearer {token}\r\n"));
            assert_eq!(response.status, 401, "{token}");
            let offers = ["Basic realm=\"metrics\", charset=\"UTF-8\"", "Bearer realm=\"metrics\""];
            assert_eq!(challenges(&response), offers);
        }
        assert_eq!(get(&server, "/metrics", &basic("alice:secret")).status, 200, "either is enough");
    }

    #[test]
    fn what_is_wrong_with_users_and_tokens_is_told_when_the_server_starts_and_no_secret_with_it() {
        let error = builder(Access::new().user("alice", "plain secret")).unwrap_err();
        assert!(matches!(error, ServeError::Access(AccessError::Hash { .. })), "{error:?}");
        assert!(error.to_string().contains("htpasswd") && !error.to_string().contains("plain"), "{error}");
        let access = Access::new().user("alice", hash("x", 4)).token("not\nsent");
        let shown = format!("{access:?}");
        assert!(shown.contains("alice") && !shown.contains("not") && !shown.contains("$2"), "{shown}");
        assert!(matches!(builder(access), Err(ServeError::Access(AccessError::Token))));
    }

    #[test]
    fn a_refused_client_goes_on_with_the_same_connection() {
        let server = builder(Access::new().token("token")).unwrap();
        let mut client = Client::connect(server.local_addr());
        assert_eq!(client.get("/metrics").status, 401);
        client.send("GET /metrics HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer token\r\n\r\n");
        assert_eq!(client.response().status, 200);
    }
}
