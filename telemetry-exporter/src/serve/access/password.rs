//! Passwords: bcrypt is slow by design, so it runs beside the server's thread, one at a time, and once for a scraper.
//!
//! ```text
//! credentials -> digest of user, hash and password -> the one that was right before?  yes: in
//!                                                     no: wait for the turn -> bcrypt -> right: remembered, in
//! ```
//!
//! One digest is kept for each user, so the memory is bounded by what is configured, and nobody can push another's out by
//! guessing. The hash is a part of what is digested, so a password that was changed is forgotten with its hash, and each
//! part is digested with its length, so no other triple has the same.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::str::FromStr;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use super::AccessError;

/// How many clients may wait for their password to be checked. At the usual cost this is a second of work.
const WAITING: usize = 16;
/// The costs that bcrypt has.
const COSTS: std::ops::RangeInclusive<u32> = 4..=31;

type Digest = [u8; 32];

/// The users, and the hashes of their passwords.
pub(in crate::serve) struct Users {
    hashes: HashMap<Vec<u8>, Arc<str>>,
    /// The same hashes in an order, to choose one from.
    decoys: Vec<Arc<str>>,
    /// Chooses the decoy of a name, always the same, and unforeseeable.
    seed: RandomState,
}

impl Users {
    pub(super) fn new(users: &[(String, String)]) -> Result<Self, AccessError> {
        let (mut hashes, mut decoys) = (HashMap::new(), Vec::new());
        for (name, hash) in users {
            if name.contains(|char: char| char == ':' || char.is_control()) {
                return Err(AccessError::User { name: name.clone() });
            }
            let problem = match bcrypt::HashParts::from_str(hash) {
                Ok(parts) if COSTS.contains(&parts.get_cost()) => None,
                Ok(parts) => Some(format!("its cost is {}, and costs are from 4 to 31", parts.get_cost())),
                Err(error) => Some(error.to_string()),
            };
            if let Some(problem) = problem {
                return Err(AccessError::Hash { name: name.clone(), problem });
            }
            let hash: Arc<str> = Arc::from(&**hash);
            decoys.push(hash.clone());
            if hashes.insert(name.clone().into_bytes(), hash).is_some() {
                return Err(AccessError::TwoHashes { name: name.clone() });
            }
        }
        Ok(Self { hashes, decoys, seed: RandomState::new() })
    }

    pub(in crate::serve) fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    /// The hash to check a user's password against, and whether there is such a user. An unknown one gets that of
    /// another, whose answer is not looked at: so it takes as long, whatever the costs of the hashes are.
    fn hash_of(&self, name: &[u8]) -> Option<(Arc<str>, bool)> {
        if let Some(hash) = self.hashes.get(name) {
            return Some((hash.clone(), true));
        }
        let count = u64::try_from(self.decoys.len()).ok().filter(|count| *count > 0)?;
        let at = usize::try_from(self.seed.hash_one(name) % count).ok()?;
        self.decoys.get(at).map(|hash| (hash.clone(), false))
    }
}

/// What became of credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::serve) enum Verdict {
    Right,
    Wrong,
    /// Too many wait to be checked.
    Busy,
}

/// Checks passwords, and remembers those that were right.
pub(in crate::serve) struct Verifier {
    /// The turn: one password is checked at a time, whoever waits.
    turn: Arc<Semaphore>,
    waiting: Cell<usize>,
    /// For each user the digest of the credentials that were right.
    verified: RefCell<HashMap<Vec<u8>, Digest>>,
}

impl Default for Verifier {
    fn default() -> Self {
        Self { turn: Arc::new(Semaphore::new(1)), waiting: Cell::new(0), verified: RefCell::default() }
    }
}

impl Verifier {
    /// Checks a password; calls `runs` before bcrypt does.
    pub(in crate::serve) async fn verify(
        &self,
        users: &Users,
        name: &[u8],
        password: &[u8],
        runs: impl FnOnce(),
    ) -> Verdict {
        let Some((hash, is_known)) = users.hash_of(name) else { return Verdict::Wrong };
        let digest = digest(name, &hash, password);
        if is_known && self.remembers(name, &digest) {
            return Verdict::Right;
        }
        let Some(_waiting) = Waiting::enter(&self.waiting) else { return Verdict::Busy };
        let Ok(turn) = self.turn.clone().acquire_owned().await else { return Verdict::Busy };
        // A scraper may have asked twice at once.
        if is_known && self.remembers(name, &digest) {
            return Verdict::Right;
        }
        runs();
        let password = password.to_vec();
        // The turn goes there and back: it lasts until bcrypt ends, should whoever asked be gone by then, and until what
        // was right is remembered.
        let checked =
            spawn_blocking(move || (bcrypt::verify(password, &hash).is_ok_and(|matches| matches), turn)).await;
        // An error is a panic of bcrypt.
        let Ok((matches, _turn)) = checked else { return Verdict::Wrong };
        if !(matches && is_known) {
            return Verdict::Wrong;
        }
        self.verified.borrow_mut().insert(name.to_vec(), digest);
        Verdict::Right
    }

    /// Forgets users that are no more.
    #[cfg(any(feature = "tls", test))]
    pub(in crate::serve) fn retain(&self, users: &Users) {
        self.verified.borrow_mut().retain(|name, _| users.hashes.contains_key(name));
    }

    fn remembers(&self, name: &[u8], digest: &Digest) -> bool {
        self.verified.borrow().get(name).is_some_and(|verified| verified.ct_eq(digest).into())
    }
}

/// A place among those that wait, until it is dropped.
struct Waiting<'a>(&'a Cell<usize>);

impl<'a> Waiting<'a> {
    fn enter(waiting: &'a Cell<usize>) -> Option<Self> {
        (waiting.get() < WAITING).then(|| {
            waiting.set(waiting.get() + 1);
            Self(waiting)
        })
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

fn digest(name: &[u8], hash: &str, password: &[u8]) -> Digest {
    let mut digest = Sha256::new();
    for part in [name, hash.as_bytes(), password] {
        digest.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
        digest.update(part);
    }
    digest.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of the password "secret", at the lowest cost.
    fn hash(password: &str) -> String {
        bcrypt::hash_with_salt(password, 4, [7; 16]).unwrap().format_for_version(bcrypt::Version::TwoY)
    }

    fn users(users: &[(&str, &str)]) -> Users {
        let users: Vec<_> = users.iter().map(|(name, password)| ((*name).to_owned(), hash(password))).collect();
        Users::new(&users).unwrap()
    }

    struct Bench {
        verifier: Verifier,
        runs: Cell<usize>,
    }

    impl Bench {
        fn new() -> Self {
            Self { verifier: Verifier::default(), runs: Cell::new(0) }
        }

        async fn verify(&self, users: &Users, name: &str, password: &str) -> Verdict {
            let runs = || self.runs.set(self.runs.get() + 1);
            self.verifier.verify(users, name.as_bytes(), password.as_bytes(), runs).await
        }
    }

    fn run(test: impl Future<Output = ()>) {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(test);
    }

    #[test]
    fn the_right_password_is_checked_once_and_a_wrong_one_each_time() {
        run(async {
            let (bench, users) = (Bench::new(), users(&[("alice", "secret"), ("bob", "other")]));
            for _ in 0..3 {
                assert_eq!(bench.verify(&users, "alice", "secret").await, Verdict::Right);
            }
            assert_eq!(bench.runs.get(), 1);
            for _ in 0..2 {
                assert_eq!(bench.verify(&users, "alice", "wrong").await, Verdict::Wrong);
            }
            assert_eq!(bench.runs.get(), 3);
            assert_eq!(bench.verify(&users, "alice", "secret").await, Verdict::Right);
            assert_eq!(bench.runs.get(), 3, "a wrong guess pushed out what was right");
        });
    }

    #[test]
    fn an_unknown_user_is_checked_like_a_known_one_and_is_wrong_even_with_a_right_password() {
        run(async {
            let (bench, users) = (Bench::new(), users(&[("alice", "secret")]));
            for _ in 0..2 {
                assert_eq!(bench.verify(&users, "mallory", "secret").await, Verdict::Wrong);
            }
            assert_eq!(bench.runs.get(), 2);
            assert!(bench.verifier.verified.borrow().is_empty());
        });
    }

    #[test]
    fn no_two_triples_have_one_digest() {
        let mut digests = vec![digest(b"a", "bc", b"d"), digest(b"ab", "c", b"d"), digest(b"a", "b", b"cd")];
        digests.extend([digest(b"", "abc", b"d"), digest(b"abcd", "", b""), digest(b"a", "bc", b"e")]);
        for (at, digest) in digests.iter().enumerate() {
            assert!(!digests[..at].contains(digest), "{at}");
        }
    }

    #[test]
    fn credentials_of_one_user_are_not_those_of_another_that_read_alike() {
        run(async {
            let (bench, users) = (Bench::new(), users(&[("a", "bsecret"), ("ab", "x")]));
            assert_eq!(bench.verify(&users, "a", "bsecret").await, Verdict::Right);
            assert_eq!(bench.verify(&users, "ab", "secret").await, Verdict::Wrong);
        });
    }

    #[test]
    fn a_changed_hash_forgets_the_password() {
        run(async {
            let bench = Bench::new();
            assert_eq!(bench.verify(&users(&[("alice", "secret")]), "alice", "secret").await, Verdict::Right);
            let changed = users(&[("alice", "other")]);
            bench.verifier.retain(&changed);
            assert_eq!(bench.verify(&changed, "alice", "secret").await, Verdict::Wrong);
            bench.verifier.retain(&users(&[("bob", "x")]));
            assert!(bench.verifier.verified.borrow().is_empty());
        });
    }

    #[test]
    fn who_asks_twice_at_once_is_checked_once_and_too_many_at_once_are_told_so() {
        run(async {
            let (bench, users) = (Bench::new(), users(&[("alice", "secret")]));
            let both = tokio::join!(bench.verify(&users, "alice", "secret"), bench.verify(&users, "alice", "secret"));
            assert_eq!((both, bench.runs.get()), ((Verdict::Right, Verdict::Right), 1));
            let places: Vec<_> = (0..WAITING).map(|_| Waiting::enter(&bench.verifier.waiting).unwrap()).collect();
            assert_eq!(bench.verify(&users, "alice", "wrong").await, Verdict::Busy);
            assert_eq!(bench.verify(&users, "alice", "secret").await, Verdict::Right, "it needs no check");
            drop(places);
            assert_eq!(bench.verify(&users, "alice", "wrong").await, Verdict::Wrong);
        });
    }

    #[test]
    fn what_is_no_hash_of_bcrypt_is_refused() {
        let error = |name: &str, hash: &str| Users::new(&[(name.to_owned(), hash.to_owned())]).err();
        assert!(matches!(error("alice", "secret"), Some(AccessError::Hash { .. })));
        assert!(matches!(error("alice", &hash("x").replace("$04$", "$99$")), Some(AccessError::Hash { .. })));
        assert!(matches!(error("a:b", &hash("x")), Some(AccessError::User { .. })));
        let twice = [("alice".to_owned(), hash("x")), ("alice".to_owned(), hash("y"))];
        assert_eq!(Users::new(&twice).err(), Some(AccessError::TwoHashes { name: "alice".to_owned() }));
    }
}
