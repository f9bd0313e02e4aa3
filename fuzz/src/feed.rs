//! Decisions out of a target's bytes: which step, which number. When they run out, zeros come.

/// The bytes that are left.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Feed<'a>(&'a [u8]);

impl<'a> Feed<'a> {
    /// Of a target's input.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Nothing is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One byte.
    pub(crate) fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or_default()
    }

    /// True in half of the cases.
    pub(crate) fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// One of these.
    pub(crate) fn pick<'b, T>(&mut self, from: &'b [T]) -> &'b T {
        &from[usize::from(self.byte()) % from.len()]
    }

    /// A number: small, at an edge, or any.
    pub(crate) fn number(&mut self) -> u64 {
        match self.byte() {
            small @ 0..128 => u64::from(small),
            edge @ 128..224 => EDGES[usize::from(edge) % EDGES.len()],
            _ => {
                let mut word = [0; 8];
                let bytes = self.take(8);
                word[..bytes.len()].copy_from_slice(bytes);
                u64::from_le_bytes(word)
            }
        }
    }

    /// As [`Self::number`], in 32 bits.
    pub(crate) fn number_32(&mut self) -> u32 {
        u32::try_from(self.number()).unwrap_or(u32::MAX)
    }

    /// Up to so many bytes.
    pub(crate) fn take(&mut self, length_max: usize) -> &'a [u8] {
        let (taken, left) = self.0.split_at(length_max.min(self.0.len()));
        self.0 = left;
        taken
    }

    /// A length in one byte, and as many bytes.
    pub(crate) fn counted(&mut self) -> &'a [u8] {
        let length = usize::from(self.byte());
        self.take(length)
    }

    /// All that is left.
    pub(crate) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }
}

/// Where lengths of time, seats and counters turn over.
const EDGES: [u64; 24] = [
    0,
    999,
    1_000,
    2_000,
    5_000,
    30_000,
    59_999,
    60_000,
    60_001,
    300_000,
    600_000,
    3_600_000,
    86_400_000,
    604_800_000,
    1_000_000,
    31_622_400_000,
    31_622_400_001,
    u32::MAX as u64,
    1 << 53,
    i64::MAX as u64,
    (1 << 63) + 1,
    u64::MAX / 1000,
    u64::MAX - 1,
    u64::MAX,
];
