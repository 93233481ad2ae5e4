//! Recognises RSA moduli made by a broken generator (ROCA, CVE-2017-15361), whose private key can be computed.
//!
//! Its primes are `k·M + (65537^a mod M)` for a product `M` of the first primes, so that the modulus, too, is a power of
//! 65537 modulo each of them. Of other moduli fewer than one in 2^100 looks so.

/// The odd primes whose product divides `M` for every key length.
const PRIMES: [u16; 38] = [
    3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97,
    101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
];

/// Whether `modulus`, big-endian, has the generator's fingerprint.
pub(super) fn has_fingerprint(modulus: &[u8]) -> bool {
    PRIMES.into_iter().all(|prime| is_power_of_65537(remainder(modulus, prime), prime))
}

fn remainder(number: &[u8], prime: u16) -> u32 {
    number.iter().fold(0, |rest, byte| (rest << 8 | u32::from(*byte)) % u32::from(prime))
}

fn is_power_of_65537(residue: u32, prime: u16) -> bool {
    let prime = u32::from(prime);
    let powers = std::iter::successors(Some(1), |power| Some(power * (65_537 % prime) % prime));
    powers.take(prime as usize).any(|power| power == residue)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_power_of_65537_has_the_fingerprint_and_its_neighbours_have_not() {
        // 65537^2 = 0x1_0002_0001
        assert!(has_fingerprint(&[1, 0, 2, 0, 1]));
        assert!(!has_fingerprint(&[1, 0, 2, 0, 3]));
        assert!(!has_fingerprint(&[]));
    }
}
