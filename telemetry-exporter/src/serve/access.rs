//! Who may ask: by where they ask from, and by what they know.

mod network;
#[cfg(feature = "auth")]
pub(super) mod password;
#[cfg(feature = "auth")]
mod token;

use std::fmt;
use std::net::IpAddr;

use hyper::header::HeaderValue;
use network::Network;
#[cfg(feature = "auth")]
use password::Users;
#[cfg(feature = "auth")]
use token::Tokens;

/// Who may ask an endpoint; everybody, unless told.
///
/// A client has to be of one of the [networks](Self::allow), if there are any, else it is answered `403`. It has to show
/// one of the passwords (`user`) or tokens (`token`), if there are any, else it is answered `401`. Clients of a
/// socket of this machine are of no network: the permissions of the socket decide.
///
/// Passwords and tokens are of feature `auth`. They can be read on the way unless the endpoint speaks TLS, of feature `tls`.
///
/// ```
/// use telemetry_exporter::Exporter;
/// use telemetry_exporter::serve::Access;
///
/// let access = Access::new().allow("127.0.0.0/8").allow("::1").allow("10.20.0.0/16");
/// let exporter = Exporter::builder().listen("127.0.0.1:0").access(access).serve()?;
/// # Ok::<(), telemetry_exporter::ExporterError>(())
/// ```
#[derive(Clone, Default)]
#[must_use = "it guards nothing until a server is given it"]
pub struct Access {
    networks: Vec<String>,
    #[cfg(feature = "auth")]
    users: Vec<(String, String)>,
    #[cfg(feature = "auth")]
    tokens: Vec<String>,
}

impl Access {
    /// Everybody.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets in clients of this network (`10.20.0.0/16`, `fd00::/8`) or with this address (`10.20.0.7`).
    ///
    /// What counts is who has connected: a proxy in between is asked about as itself.
    pub fn allow(mut self, network: impl Into<String>) -> Self {
        self.networks.push(network.into());
        self
    }

    /// Lets in who knows the password of this user, sent by basic authentication; `hash` is what bcrypt made of it
    /// (`htpasswd -nBC 10 alice`).
    ///
    /// A password is checked on a thread beside the server's, one at a time; the credentials that were right are
    /// remembered, so that a scraper costs a check once. An unknown user costs as much as a known one.
    #[cfg(feature = "auth")]
    pub fn user(mut self, name: impl Into<String>, hash: impl Into<String>) -> Self {
        self.users.push((name.into(), hash.into()));
        self
    }

    /// Lets in who sends this token (`Authorization: Bearer ...`). Make it long and random (`openssl rand -hex 32`).
    #[cfg(feature = "auth")]
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.tokens.push(token.into());
        self
    }

    /// The same as what a request is held against.
    pub(super) fn rules(&self) -> Result<Rules, AccessError> {
        Ok(Rules {
            networks: self.networks.iter().map(|text| Network::parse(text)).collect::<Result<_, _>>()?,
            #[cfg(feature = "auth")]
            users: Users::new(&self.users)?,
            #[cfg(feature = "auth")]
            tokens: Tokens::new(&self.tokens)?,
        })
    }
}

/// The networks and the names of users; no secret.
impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Access");
        debug.field("networks", &self.networks);
        #[cfg(feature = "auth")]
        debug
            .field("users", &self.users.iter().map(|(name, _)| name).collect::<Vec<_>>())
            .field("tokens", &self.tokens.len());
        debug.finish()
    }
}

/// Who may ask, checked and ready.
pub(super) struct Rules {
    networks: Vec<Network>,
    #[cfg(feature = "auth")]
    pub(super) users: Users,
    #[cfg(feature = "auth")]
    pub(super) tokens: Tokens,
}

impl Rules {
    /// Whether a client may ask at all; one of this machine has no address.
    pub(super) fn lets_in(&self, from: Option<IpAddr>) -> bool {
        let Some(from) = from else { return true };
        self.networks.is_empty() || self.networks.iter().any(|network| network.contains(from))
    }

    /// Whether anybody is asked for a secret at all.
    pub(super) fn asks(&self) -> bool {
        #[cfg(feature = "auth")]
        return !self.users.is_empty() || !self.tokens.is_empty();
        #[cfg(not(feature = "auth"))]
        false
    }

    /// How whoever is asked may answer.
    pub(super) fn challenges(&self) -> impl Iterator<Item = HeaderValue> {
        #[cfg(feature = "auth")]
        let offers = [
            (!self.users.is_empty(), "Basic realm=\"metrics\", charset=\"UTF-8\""),
            (!self.tokens.is_empty(), "Bearer realm=\"metrics\""),
        ];
        #[cfg(not(feature = "auth"))]
        let offers: [(bool, &str); 0] = [];
        offers.into_iter().filter(|(is_offered, _)| *is_offered).map(|(_, offer)| HeaderValue::from_static(offer))
    }

    /// Whether anybody is kept out.
    pub(super) fn is_open(&self) -> bool {
        self.networks.is_empty() && !self.asks()
    }
}

/// What can't be in an [`Access`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum AccessError {
    /// The text is no network.
    Network {
        /// What was given.
        text: String,
    },
    /// The address has bits beyond the length of the network's prefix.
    HostBits {
        /// What was given.
        text: String,
        /// The network that it lies in.
        network: String,
    },
    /// The name can't be that of a user.
    User {
        /// What was given.
        name: String,
    },
    /// The user is there twice.
    TwoHashes {
        /// Its name.
        name: String,
    },
    /// What was given as the hash of a user's password is none.
    Hash {
        /// The name of the user.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A token is empty, or has a character that can't be sent.
    Token,
}

impl fmt::Display for AccessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network { text } => write!(
                f,
                "{text:?} is not a network to allow; write an address, or one and the length of a prefix, as in \
                 10.20.0.0/16 or fd00::/8"
            ),
            Self::HostBits { text, network } => {
                write!(f, "{text:?} is an address within a network; write {network} to allow all of it")
            }
            Self::User { name } => {
                write!(f, "{name:?} cannot be the name of a user; it must not hold a colon or a control character")
            }
            Self::TwoHashes { name } => write!(f, "the user {name:?} is there twice; give each user one hash"),
            Self::Hash { name, problem } => write!(
                f,
                "what is given as the hash of the password of {name:?} is none of bcrypt ({problem}); make one with \
                 `htpasswd -nBC 10 {name}`"
            ),
            Self::Token => f.write_str(
                "a token is empty or cannot be sent; use letters, digits and -._~+/= only, as `openssl rand -hex 32` does",
            ),
        }
    }
}

impl std::error::Error for AccessError {}
