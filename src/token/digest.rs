//! Names for what is remembered.
use aws_lc_rs::digest::{Context, SHA256};

/// SHA-256 over `fields`, each after its length, so that no two lists of fields share a name by shifting bytes from one
/// field to the next. Nothing of the fields can be read back.
pub fn of(fields: &[&[u8]]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    for field in fields {
        context.update(&(field.len() as u64).to_be_bytes());
        context.update(field);
    }
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    digest
}

/// SHA-256 of `text` alone, as other programs compute it.
pub fn of_one(text: &[u8]) -> [u8; 32] {
    let mut digest = [0; 32];
    digest.copy_from_slice(aws_lc_rs::digest::digest(&SHA256, text).as_ref());
    digest
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn digest(fields: &[Vec<u8>]) -> [u8; 32] {
        of(&fields.iter().map(Vec::as_slice).collect::<Vec<_>>())
    }

    proptest! {
        #[test]
        fn p7_distinct_fields_have_distinct_digests(
            one in prop::collection::vec(prop::collection::vec(0..3_u8, 0..4), 0..4),
            other in prop::collection::vec(prop::collection::vec(0..3_u8, 0..4), 0..4),
        ) {
            prop_assert_eq!(one == other, digest(&one) == digest(&other));
        }

        #[test]
        fn p7_a_byte_that_moves_to_the_next_field_changes_the_digest(
            left in prop::collection::vec(any::<u8>(), 1..40),
            right in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let (last, rest) = left.split_last().unwrap();
            let mut longer = vec![*last];
            longer.extend(&right);
            prop_assert_ne!(digest(&[left.clone(), right]), digest(&[rest.to_vec(), longer]));
        }
    }
}
