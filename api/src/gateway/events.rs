//! Where one event of a stream ends and the next begins, so that a stream can be ended between two.
//!
//! Lines end with CRLF, LF or CR, and an empty line ends an event (WHATWG HTML, section 9.2.5).

/// How far a stream of events has come.
#[derive(Debug, Clone, Copy)]
pub struct Events {
    // Whether the line that is being read is empty so far.
    line_is_empty: bool,
    // Whether the last byte was a CR: an LF after it belongs to it.
    after_cr: bool,
    between: bool,
}

/// As many bytes as the end of an event can have.
const END_MAX: usize = 4;

impl Events {
    /// A stream that has not begun.
    pub const BEGIN: Self = Self { line_is_empty: true, after_cr: false, between: true };

    /// Whether the last event is over and no other has begun.
    #[must_use]
    pub const fn between(self) -> bool {
        self.between
    }

    /// Goes on over a chunk that was passed on.
    pub fn pass(&mut self, chunk: &[u8]) {
        // Only the end says where the stream stands.
        let end = if chunk.len() > END_MAX {
            *self = Self { line_is_empty: false, after_cr: false, between: false };
            &chunk[chunk.len() - END_MAX..]
        } else {
            chunk
        };
        for byte in end {
            self.step(*byte);
        }
    }

    /// Goes on over a chunk up to the end of the event that is under way; how many bytes that takes, all of them when it
    /// does not end here.
    pub fn finish(&mut self, chunk: &[u8]) -> usize {
        for (index, byte) in chunk.iter().enumerate() {
            self.step(*byte);
            if self.between {
                return index + 1;
            }
        }
        chunk.len()
    }

    fn step(&mut self, byte: u8) {
        match byte {
            b'\n' if self.after_cr => self.after_cr = false,
            b'\r' | b'\n' => {
                self.between = self.line_is_empty;
                self.line_is_empty = true;
                self.after_cr = byte == b'\r';
            }
            _ => *self = Self { line_is_empty: false, after_cr: false, between: false },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(chunks: &[&str]) -> bool {
        let mut events = Events::BEGIN;
        for chunk in chunks {
            events.pass(chunk.as_bytes());
        }
        events.between()
    }

    #[test]
    fn an_empty_line_ends_an_event_whichever_way_lines_end_and_chunks_are_cut() {
        for end in ["\n\n", "\r\n\r\n", "\r\r", "\n\r\n", "\r\n\n"] {
            let text = format!("id: 1\ndata: {{}}{end}");
            for cut in 0..text.len() {
                let (first, second) = text.split_at(cut);
                assert!(passed(&[first, second]), "{text:?} cut at {cut}");
            }
            let bytes: Vec<String> = text.chars().map(String::from).collect();
            assert!(passed(&bytes.iter().map(String::as_str).collect::<Vec<_>>()), "{text:?}");
        }
        for open in ["data: x", "data: x\n", "data: x\r\n", ": comment\r", "data: x\n\ndata: y"] {
            assert!(!passed(&[open]), "{open:?}");
        }
    }

    #[test]
    fn a_chunk_is_cut_after_the_event_under_way() {
        let mut events = Events::BEGIN;
        events.pass(b"data: the first ha");
        let chunk = b"lf\n\ndata: the next\n\n";
        assert_eq!(events.finish(chunk), 4);
        assert!(events.between());
        let mut open = Events::BEGIN;
        open.pass(b"data: a");
        assert_eq!((open.finish(b" long one"), open.between()), (9, false));
    }
}
