//! The types of the v1 documents: frozen, apart from the types inside the program. A field is never renamed or removed;
//! whatever changes inside, `From` gives it the form that is published.

mod origin;

pub use origin::{Origin, OriginKind};
