//! Wrong use of the macros, and what the compiler says about it. All of it is found before the
//! expanded code matters, so these need no other crate.

#[test]
fn wrong_use_is_explained() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
