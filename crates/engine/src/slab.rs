//! The connections of a lane, under keys that are never used twice.

/// Values under 64-bit keys: the low half is a place, the high half counts its uses.
pub(crate) struct Slab<T> {
    places: Vec<Place<T>>,
    free: Vec<u32>,
}

struct Place<T> {
    uses: u32,
    value: Option<T>,
}

impl<T> Slab<T> {
    pub(crate) fn new() -> Self {
        Self { places: Vec::new(), free: Vec::new() }
    }

    /// Reserves a key; [`Self::put`] fills it.
    pub(crate) fn reserve(&mut self) -> u64 {
        let index = self.free.pop().unwrap_or_else(|| {
            self.places.push(Place { uses: 0, value: None });
            self.places.len() as u32 - 1
        });
        let place = &mut self.places[index as usize];
        place.uses = place.uses.wrapping_add(1) & (u32::MAX >> 1);
        u64::from(index) | (u64::from(place.uses) << 32)
    }

    /// Stores the value of a key that is reserved or taken.
    pub(crate) fn put(&mut self, key: u64, value: T) {
        if let Some(place) = self.place(key) {
            place.value = Some(value);
        }
    }

    /// Takes a value out, keeping its key.
    pub(crate) fn take(&mut self, key: u64) -> Option<T> {
        self.place(key)?.value.take()
    }

    /// Gives a key up; what is under it is dropped.
    pub(crate) fn remove(&mut self, key: u64) {
        if let Some(place) = self.place(key) {
            place.value = None;
            // The next use has another count, so the old key misses from now on.
            place.uses = place.uses.wrapping_add(1) & (u32::MAX >> 1);
            self.free.push(key as u32);
        }
    }

    /// Keys whose value is in place.
    pub(crate) fn keys(&self) -> Vec<u64> {
        self.places
            .iter()
            .enumerate()
            .filter(|(_, place)| place.value.is_some())
            .map(|(index, place)| index as u64 | (u64::from(place.uses) << 32))
            .collect()
    }

    fn place(&mut self, key: u64) -> Option<&mut Place<T>> {
        let place = self.places.get_mut(key as u32 as usize)?;
        (u64::from(place.uses) == key >> 32).then_some(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removed_key_misses_even_when_its_place_is_used_again() {
        let mut slab = Slab::new();
        let old = slab.reserve();
        slab.put(old, 'a');
        slab.remove(old);
        let new = slab.reserve();
        slab.put(new, 'b');
        assert_eq!(old as u32, new as u32, "the place is used again");
        assert!(slab.take(old).is_none());
        slab.remove(old);
        assert_eq!(slab.take(new), Some('b'));
        assert!(slab.take(new).is_none());
    }
}
