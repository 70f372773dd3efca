//! Any `Accept-Encoding`: the answer is offered and was asked for, and a body in it is read back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use telemetry_exporter::compress::Coding;

fuzz_target!(|header: &[u8]| {
    for offers in [Coding::ALL, &[Coding::Gzip], &[Coding::Identity], &[]] {
        let coding = Coding::negotiate(Some(header), offers);
        assert!(coding == Coding::Identity || offers.contains(&coding));
        let lower = header.to_ascii_lowercase();
        let has = |text: &[u8]| lower.windows(text.len()).any(|window| window == text);
        match coding {
            Coding::Gzip => assert!(has(b"gzip") || has(b"*"), "gzip was asked for by nothing"),
            Coding::Zstd => assert!(has(b"zstd"), "zstd was asked for by nothing"),
            _ => {}
        }
        let mut longer = header.to_vec();
        longer.extend_from_slice(b", br;q=1");
        // Within a quote that has no end, it is a part of the text.
        if !header.contains(&b'"') {
            assert_eq!(Coding::negotiate(Some(&longer), offers), coding, "a coding that nobody offers changes nothing");
        }
    }
});
