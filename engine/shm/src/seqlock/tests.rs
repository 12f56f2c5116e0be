//! The statistics page: a read never mixes two writes and never waits forever.

use super::*;
use std::sync::Arc;

#[derive(Clone, Debug)]
struct Plain(Arc<(AtomicU64, Vec<AtomicU64>)>);

impl Plain {
    fn new(slots: usize) -> Self {
        Self(Arc::new((AtomicU64::new(0), (0..slots).map(|_| AtomicU64::new(0)).collect())))
    }
}

impl SharedPage for Plain {
    fn sequence(&self) -> &AtomicU64 {
        &self.0.0
    }
    fn slots(&self) -> &[AtomicU64] {
        &self.0.1
    }
}

#[cfg(not(loom))]
mod alone {
    use super::*;

    #[test]
    fn a_write_replaces_as_many_slots_as_it_has_values_for() {
        let page = Plain::new(4);
        let mut writer = PageWriter::new(page.clone());
        writer.write(&[1, 2, 3, 4, 5, 6]);
        writer.write(&[9]);
        let mut into = [0xa5; 4];
        assert!(read_page(&page, &mut into, 1));
        assert_eq!(into, [9, 2, 3, 4]);
    }

    #[test]
    fn a_reader_gives_up_after_its_tries_when_the_writer_died_while_writing() {
        let page = Plain::new(4);
        page.sequence().store(7, Ordering::Relaxed);
        assert!(!read_page(&page, &mut [0; 4], 64));
    }

    #[test]
    fn a_reader_beside_a_busy_writer_gets_consistent_copies() {
        let page = Plain::new(16);
        let mut writer = PageWriter::new(page.clone());
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for round in 0..50_000u64 {
                    writer.write(&[round; 16]);
                }
            });
            let mut last = 0;
            for _ in 0..50_000 {
                let mut into = [0; 16];
                if read_page(&page, &mut into, 64) {
                    assert!(into.iter().all(|value| *value == into[0]), "{into:?}");
                    assert!(into[0] >= last);
                    last = into[0];
                }
            }
        });
    }
}

#[cfg(loom)]
mod under_loom {
    use super::*;

    #[test]
    fn a_read_is_never_a_mixture() {
        loom::model(|| {
            let page = Plain::new(2);
            let mut writer = PageWriter::new(page.clone());
            let writing = loom::thread::spawn(move || {
                writer.write(&[1, 1]);
                writer.write(&[2, 2]);
            });
            let mut into = [9, 8];
            if read_page(&page, &mut into, 1) {
                assert_eq!(into[0], into[1]);
            }
            writing.join().unwrap();
        });
    }
}
