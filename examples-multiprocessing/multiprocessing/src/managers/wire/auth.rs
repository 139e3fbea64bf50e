//! The challenge by which each side proves that it knows the key.
//!
//! The server challenges first, so that a stranger gets nothing signed. Up to Python
//! 3.11 a challenge is 20 random bytes and the answer their HMAC-MD5; from 3.12 on the
//! challenge names a digest and so does the answer. Old clients answer a new challenge
//! the old way, and the new servers accept it, as this one does.

use std::io::{self, ErrorKind};

use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use sha2::{Sha256, Sha384};
use sha3::{Sha3_256, Sha3_384};

use super::MessageStream;
use super::frame::FrameError;
use crate::managers::Digests;
use crate::sys::random;

/// The longest message that is received before the other side has proved the key.
const MAX_MESSAGE: usize = 256;

const CHALLENGE: &[u8] = b"#CHALLENGE#";
const WELCOME: &[u8] = b"#WELCOME#";
const FAILURE: &[u8] = b"#FAILURE#";

/// The number of random bytes in a challenge, as in Python since 3.12.
const RANDOM_BYTES: usize = 40;
/// The length of a challenge of Python up to 3.11.
const LEGACY_CHALLENGE: usize = 20;
/// The length of an answer without a prefix: of a bare MD5.
const LEGACY_ANSWER: usize = 16;

/// Why the two sides did not authenticate each other.
#[derive(Debug)]
pub(in crate::managers) enum AuthError {
    /// The other side does not have our key, or says that we do not have its.
    WrongKey,
    /// It speaks something else.
    Protocol(&'static str),
    /// It offers only MD5, and that was ruled out.
    LegacyDigest,
    /// It sent nothing in time, or vanished.
    Io(io::Error),
}

impl From<FrameError> for AuthError {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::Io(error) => Self::Io(error),
            FrameError::Cut => Self::Io(ErrorKind::UnexpectedEof.into()),
            FrameError::Negative | FrameError::Empty | FrameError::TooLong(_) => {
                Self::Protocol("its messages are not a manager's")
            }
        }
    }
}

impl From<io::Error> for AuthError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// The digests that Python allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Digest {
    Md5,
    Sha256,
    Sha384,
    Sha3_256,
    Sha3_384,
}

impl Digest {
    fn named(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"md5" => Self::Md5,
            b"sha256" => Self::Sha256,
            b"sha384" => Self::Sha384,
            b"sha3_256" => Self::Sha3_256,
            b"sha3_384" => Self::Sha3_384,
            _ => return None,
        })
    }

    fn sign(self, key: &[u8], message: &[u8]) -> Vec<u8> {
        fn sign<M: KeyInit + Mac>(key: &[u8], message: &[u8]) -> Vec<u8> {
            keyed::<M>(key)
                .chain_update(message)
                .finalize()
                .into_bytes()
                .to_vec()
        }
        match self {
            Self::Md5 => sign::<Hmac<Md5>>(key, message),
            Self::Sha256 => sign::<Hmac<Sha256>>(key, message),
            Self::Sha384 => sign::<Hmac<Sha384>>(key, message),
            Self::Sha3_256 => sign::<Hmac<Sha3_256>>(key, message),
            Self::Sha3_384 => sign::<Hmac<Sha3_384>>(key, message),
        }
    }

    /// In a time that does not depend on how much of the signature is right.
    fn verify(self, key: &[u8], message: &[u8], signature: &[u8]) -> bool {
        fn verify<M: KeyInit + Mac>(
            key: &[u8],
            message: &[u8],
            signature: &[u8],
        ) -> bool {
            let mac = keyed::<M>(key).chain_update(message);
            mac.verify_slice(signature).is_ok()
        }
        match self {
            Self::Md5 => verify::<Hmac<Md5>>(key, message, signature),
            Self::Sha256 => verify::<Hmac<Sha256>>(key, message, signature),
            Self::Sha384 => verify::<Hmac<Sha384>>(key, message, signature),
            Self::Sha3_256 => verify::<Hmac<Sha3_256>>(key, message, signature),
            Self::Sha3_384 => verify::<Hmac<Sha3_384>>(key, message, signature),
        }
    }
}

fn keyed<M: KeyInit + Mac>(key: &[u8]) -> M {
    <M as KeyInit>::new_from_slice(key).expect("an HMAC takes a key of any length")
}

/// `{name}rest`: the digest and the rest.
fn split_prefix(message: &[u8]) -> Option<(Digest, &[u8])> {
    let inner = message.strip_prefix(b"{")?;
    let end = inner.iter().position(|&byte| byte == b'}')?;
    Some((Digest::named(&inner[..end])?, &inner[end + 1..]))
}

/// Proves to the other side that we know the key: the answer to a challenge.
fn answer(
    challenge: &[u8],
    key: &[u8],
    digests: Digests,
) -> Result<Vec<u8>, AuthError> {
    if let Some((digest, _)) = split_prefix(challenge) {
        refuse_legacy(digest, digests)?;
        let end = challenge.iter().position(|&byte| byte == b'}');
        let (prefix, _) = challenge.split_at(end.map_or(0, |end| end + 1));
        return Ok([prefix, &digest.sign(key, challenge)].concat());
    }
    if challenge.len() != LEGACY_CHALLENGE && challenge.len() != LEGACY_ANSWER {
        return Err(AuthError::Protocol("its challenge names no known digest"));
    }
    refuse_legacy(Digest::Md5, digests)?;
    Ok(Digest::Md5.sign(key, challenge))
}

fn refuse_legacy(digest: Digest, digests: Digests) -> Result<(), AuthError> {
    match digests {
        Digests::Modern if digest == Digest::Md5 => Err(AuthError::LegacyDigest),
        Digests::Modern | Digests::All => Ok(()),
    }
}

/// Whether this answers the challenge.
fn is_answer(challenge: &[u8], key: &[u8], answer: &[u8], digests: Digests) -> bool {
    let (digest, signature) = if answer.len() == LEGACY_ANSWER {
        (Digest::Md5, answer)
    } else if let Some(parts) = split_prefix(answer) {
        parts
    } else {
        return false;
    };
    refuse_legacy(digest, digests).is_ok()
        && digest.verify(key, challenge, signature)
}

/// Lets the other side prove that it knows the key.
pub(in crate::managers) fn deliver_challenge(
    connection: &mut MessageStream,
    key: &[u8],
    digests: Digests,
) -> Result<(), AuthError> {
    let random = [random::bytes(), random::bytes()].concat();
    let challenge = [&b"{sha256}"[..], &random[..RANDOM_BYTES]].concat();
    let message = [CHALLENGE, challenge.as_slice()].concat();
    connection.send(&message)?;
    let answer = receive(connection)?;
    if is_answer(&challenge, key, answer, digests) {
        connection.send(WELCOME)?;
        Ok(())
    } else {
        connection.send(FAILURE)?;
        Err(AuthError::WrongKey)
    }
}

/// Proves to the other side that we know the key.
pub(in crate::managers) fn answer_challenge(
    connection: &mut MessageStream,
    key: &[u8],
    digests: Digests,
) -> Result<(), AuthError> {
    let message = receive(connection)?;
    let challenge = message
        .strip_prefix(CHALLENGE)
        .ok_or(AuthError::Protocol("it does not begin with a challenge"))?;
    let answer = answer(challenge, key, digests)?;
    connection.send(&answer)?;
    match receive(connection)? {
        WELCOME => Ok(()),
        FAILURE => Err(AuthError::WrongKey),
        _ => Err(AuthError::Protocol("it neither welcomes nor refuses")),
    }
}

fn receive(connection: &mut MessageStream) -> Result<&[u8], AuthError> {
    let message = connection.receive_short(MAX_MESSAGE)?;
    message.ok_or_else(|| AuthError::Io(ErrorKind::UnexpectedEof.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &[u8] = b"abracadabra";

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
            .collect()
    }

    fn modern(hex: &str) -> Vec<u8> {
        [b"{sha256}".as_slice(), &bytes(hex)].concat()
    }

    #[test]
    fn answers_are_those_that_python_gives() {
        let old = bytes("308e70290a93e3db3191b8b593e9f37750a5b76c");
        let md5 = bytes("e9c07f2ef6cc729a5f19122771195eb4");
        assert_eq!(answer(&old, KEY, Digests::All).unwrap(), md5);
        let named = answer(b"is-twenty-bytes-long", KEY, Digests::All).unwrap();
        assert_eq!(named, bytes("b1d7092e5b60f5fe2215d0c34e4205bc"));

        let new = modern(
            "bf0677d42786db55da5b1b54a9787f494d405a985e3dc87478db99de0cdcf0b34b36b134\
             706540b5",
        );
        let sha256 = modern(
            "7604ab402519435e32d5c4538049aacb4bea70e134461e44f05f7fed5f996221",
        );
        assert_eq!(answer(&new, KEY, Digests::Modern).unwrap(), sha256);
        assert!(is_answer(&new, KEY, &sha256, Digests::Modern));
    }

    #[test]
    fn an_old_answer_to_a_new_challenge_is_accepted_unless_ruled_out() {
        let challenge = modern(
            "ab3c8ef43dec2ee25c21c9648fe600c062e491baadd7aecb221c4e318d53a1a4d19bf51c\
             2661e2cb",
        );
        let old = bytes("d91e35aaa850f304ac851faa74c626a5");
        assert!(is_answer(&challenge, KEY, &old, Digests::All));
        assert!(!is_answer(&challenge, KEY, &old, Digests::Modern));
        assert!(matches!(
            answer(b"is-twenty-bytes-long", KEY, Digests::Modern),
            Err(AuthError::LegacyDigest)
        ));
    }

    #[test]
    fn a_challenge_is_answered_with_the_digest_it_names() {
        for name in ["md5", "sha256", "sha384", "sha3_256", "sha3_384"] {
            let challenge =
                format!("{{{name}}}0123456789012345678901234567890123456789");
            let answer = answer(challenge.as_bytes(), KEY, Digests::All).unwrap();
            assert!(answer.starts_with(format!("{{{name}}}").as_bytes()));
            let checked =
                is_answer(challenge.as_bytes(), KEY, &answer, Digests::All);
            assert!(checked, "{name}");
        }
    }

    #[test]
    fn a_wrong_answer_is_refused() {
        let challenge = modern("00010203");
        let good = answer(&challenge, KEY, Digests::All).unwrap();
        assert!(is_answer(&challenge, KEY, &good, Digests::All));
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert!(!is_answer(&challenge, KEY, &bad, Digests::All), "byte {at}");
        }
        for bad in [
            &b""[..],
            b"{sha256}",
            b"{sha1}0123",
            &good[..good.len() - 1],
        ] {
            assert!(!is_answer(&challenge, KEY, bad, Digests::All), "{bad:?}");
        }
        let other_key = answer(&challenge, b"", Digests::All).unwrap();
        assert!(!is_answer(&challenge, KEY, &other_key, Digests::All));
    }
}
