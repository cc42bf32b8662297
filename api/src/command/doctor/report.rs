//! What was found, line by line.

/// Prints findings, and counts those that are faults.
#[derive(Default)]
pub struct Report {
    checks: usize,
    faults: usize,
}

impl Report {
    /// All is well, or nothing that somebody has to do something about.
    pub fn good(&mut self, what: &str, finding: &str) {
        self.checks += 1;
        println!("ok    {what}: {finding}");
    }

    /// A fault, and what to do.
    pub fn bad(&mut self, what: &str, finding: &str, fix: &str) {
        self.checks += 1;
        self.faults += 1;
        println!("FAULT {what}: {finding}\n      fix: {fix}");
    }

    /// How it ends.
    ///
    /// # Errors
    /// How many checks failed.
    pub fn end(self) -> Result<(), String> {
        match self.faults {
            0 => Ok(()),
            faults => Err(format!("{faults} of {} checks failed", self.checks)),
        }
    }
}
