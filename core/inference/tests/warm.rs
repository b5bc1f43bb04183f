//! What a warm run costs: no allocation of ours, and no more threads than were asked for. A process of its own, since both
//! are counted in the whole process.
#![allow(clippy::unwrap_used, clippy::panic)]
#![expect(unsafe_code, reason = "an allocator that counts is one")]

mod common;

use common::{CPU, engine, manifest, model_for, tflite_engines, wave};
use snaptrak_domain::engine::{Accelerator, Engine, LoadOptions};
use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: everything is the system's; a number of this thread is all that is added.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

#[test]
fn a_warm_run_allocates_nothing_and_starts_no_more_threads_than_asked() {
    let [litert, classic] = tflite_engines();
    let engines: [(Box<dyn Engine>, bool); 3] =
        [(Box::new(engine()), true), (Box::new(litert), true), (Box::new(classic), false)];
    for (engine, uses_threads) in engines {
        let engine = engine.as_ref();
        for model in &manifest().models {
            let (model, file) = model_for(engine, model);
            let input = [wave(&model)];
            let mut session = engine.load(&file, CPU).unwrap();
            let mut outputs = session.run(&input).unwrap();
            let before = ALLOCATIONS.get();
            for _ in 0..3 {
                session.run_into(&input, &mut outputs).unwrap();
            }
            assert_eq!(ALLOCATIONS.get() - before, 0, "{} on {}", model.id, engine.version());
            session.run(&input).unwrap();
            assert!(ALLOCATIONS.get() > before, "the allocator counts");
        }
        let (model, file) = model_for(engine, &manifest().models[1]);
        for asked in [1, 2, 3] {
            let before = threads();
            let mut session =
                engine.load(&file, LoadOptions { accelerator: Accelerator::Cpu, threads: asked }).unwrap();
            session.run(&[wave(&model)]).unwrap();
            let more = threads() - before;
            assert!(more < asked, "{more} threads beside the caller's for {asked} on {}", engine.version());
            assert!(asked == 1 || more > 0 || !uses_threads, "{} uses the threads that it is given", engine.version());
            drop(session);
            assert_eq!(threads(), before, "they end with the session");
        }
    }
}
