//! Tokens: whoever sends one may ask.

use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq};

use super::AccessError;

/// The digests of all tokens: of one length, so that a comparison does not tell that of a token.
pub(in crate::serve) struct Tokens(Vec<[u8; 32]>);

impl Tokens {
    pub(super) fn new(tokens: &[String]) -> Result<Self, AccessError> {
        let is_sent = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
        if tokens.iter().any(|token| token.is_empty() || !token.bytes().all(is_sent)) {
            return Err(AccessError::Token);
        }
        Ok(Self(tokens.iter().map(|token| Sha256::digest(token).into()).collect()))
    }

    pub(in crate::serve) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it is one of them. It takes as long whichever it is, or none.
    pub(in crate::serve) fn hold(&self, token: &[u8]) -> bool {
        let digest: [u8; 32] = Sha256::digest(token).into();
        self.0.iter().fold(Choice::from(0), |found, one| found | one.ct_eq(&digest)).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_token_is_held_and_no_other() {
        let tokens = Tokens::new(&["abc".to_owned(), "d-._~+/=".to_owned()]).unwrap();
        for token in ["abc", "d-._~+/="] {
            assert!(tokens.hold(token.as_bytes()), "{token}");
        }
        for other in ["", "ab", "abcd", "abcd-._~+/=", "ABC"] {
            assert!(!tokens.hold(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn a_token_that_cannot_be_sent_is_refused() {
        for token in ["", "a b", "a\n", "ä"] {
            assert_eq!(Tokens::new(&[token.to_owned()]).err(), Some(AccessError::Token), "{token:?}");
        }
    }
}
