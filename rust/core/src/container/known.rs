//! The containers seen last, so that each is held once and one that is told by its id alone is known again.

use std::collections::HashMap;
use std::sync::Arc;

use super::Container;

/// Containers remembered before all are forgotten.
const MOST: usize = 4_096;

/// Containers by their ids.
#[derive(Debug, Default)]
pub struct Known(HashMap<String, Arc<Container>>);

impl Known {
    /// Takes in a container that control groups told of.
    pub fn add(&mut self, container: Container) -> Arc<Container> {
        if let Some(known) = self
            .0
            .get(&container.id)
            .filter(|known| ***known == container)
        {
            return Arc::clone(known);
        }
        if self.0.len() >= MOST {
            self.0.clear();
        }
        let container = Arc::new(container);
        if !container.claimed {
            self.0.insert(container.id.clone(), Arc::clone(&container));
        }
        container
    }

    /// The container that one is which a runtime's command line told of.
    #[must_use]
    pub fn same(&self, told: &Arc<Container>) -> Arc<Container> {
        let known = self.0.get(&told.id);
        let known = known.filter(|known| told.runtime.is_empty() || known.runtime == told.runtime);
        Arc::clone(known.unwrap_or(told))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_told_by_its_id_is_known_again() {
        let mut known = Known::default();
        let seen = Container {
            pod: Some("pod".into()),
            ..Container::named("abc".into(), "podman")
        };
        let first = known.add(seen.clone());
        assert!(Arc::ptr_eq(&first, &known.add(seen)));
        let told = |runtime| Arc::new(Container::named("abc".into(), runtime));
        assert!(Arc::ptr_eq(&first, &known.same(&told(""))));
        assert_eq!(known.same(&told("lxc")).runtime, "lxc");
        for number in 0..2 * MOST {
            known.add(Container::named(number.to_string(), "runc"));
        }
        assert!(known.0.len() <= MOST);
    }
}
