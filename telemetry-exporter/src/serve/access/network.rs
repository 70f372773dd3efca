//! Networks, as an address and the length of a prefix.

use std::net::{IpAddr, Ipv6Addr};

use super::AccessError;

/// All addresses with one prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Network {
    /// The address in the form of version 6, without the bits behind the prefix.
    base: u128,
    /// The bits that are compared.
    mask: u128,
    /// Versions have different networks even where their bits are the same.
    is_v4: bool,
}

impl Network {
    pub(super) fn parse(text: &str) -> Result<Self, AccessError> {
        let wrong = || AccessError::Network { text: text.to_owned() };
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = address.trim().parse().map_err(|_| wrong())?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let length = match length {
            // A sign would be taken for a part of the number.
            Some(digits) if digits.bytes().all(|digit| digit.is_ascii_digit()) => {
                digits.parse().map_err(|_| wrong())?
            }
            Some(_) => return Err(wrong()),
            None => width,
        };
        if length > width {
            return Err(wrong());
        }
        // An address of version 4 in the form of version 6 stands for itself, as clients do.
        let mapped = !address.is_ipv4() && address.to_canonical().is_ipv4() && length >= 96;
        let is_v4 = address.is_ipv4() || mapped;
        let length = if address.is_ipv4() { length + 96 } else { length };
        let mask = u128::MAX.checked_shl(128 - length).unwrap_or(0);
        let bits = bits(address);
        if bits & !mask != 0 {
            let base = Ipv6Addr::from(bits & mask);
            let network = match base.to_ipv4_mapped() {
                Some(base) if is_v4 => format!("{base}/{}", length - 96),
                _ => format!("{base}/{length}"),
            };
            return Err(AccessError::HostBits { text: text.to_owned(), network });
        }
        Ok(Self { base: bits, mask, is_v4 })
    }

    /// Whether an address, in its shortest form, is of the network.
    pub(super) fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.is_v4 && bits(address) & self.mask == self.base
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(network: &str, address: &str) -> bool {
        Network::parse(network).unwrap().contains(address.parse().unwrap())
    }

    #[test]
    fn a_network_holds_the_addresses_with_its_prefix() {
        for (network, address) in [
            ("10.0.0.0/8", "10.255.0.1"),
            ("10.20.0.0/15", "10.21.255.255"),
            ("127.0.0.1", "127.0.0.1"),
            ("0.0.0.0/0", "203.0.113.9"),
            ("::/0", "2001:db8::1"),
            ("fd00::/8", "fdff::1"),
            ("::1/128", "::1"),
            ("::ffff:10.0.0.0/104", "10.1.2.3"),
        ] {
            assert!(contains(network, address), "{network} {address}");
        }
        for (network, address) in [
            ("10.0.0.0/8", "11.0.0.1"),
            ("10.20.0.0/15", "10.22.0.0"),
            ("127.0.0.1", "127.0.0.2"),
            ("0.0.0.0/0", "::1"),
            ("::/0", "10.0.0.1"),
            ("fd00::/8", "fc00::1"),
        ] {
            assert!(!contains(network, address), "{network} {address}");
        }
    }

    #[test]
    fn what_is_no_network_is_told() {
        for text in ["", "10.0.0.0/33", "::/129", "10.0.0/8", "10.0.0.0/", "10.0.0.0/+8", "10.0.0.0/-1", "all", "a/8"] {
            assert_eq!(Network::parse(text), Err(AccessError::Network { text: text.to_owned() }));
        }
    }

    #[test]
    fn an_address_within_a_network_is_told_its_network() {
        for (text, network) in [("10.1.2.3/8", "10.0.0.0/8"), ("fd00::1/8", "fd00::/8"), ("1.2.3.4/0", "0.0.0.0/0")] {
            let told = AccessError::HostBits { text: text.to_owned(), network: network.to_owned() };
            assert_eq!(Network::parse(text), Err(told));
        }
    }
}
