use telemetry_core::span;

fn main() {
    span!("shop.import", stop: { rows }, { format }).run_with(|stop| {
        stop.rwos.set(3u64);
        stop.format.set(std::time::Duration::ZERO);
    });
}
