//! What callers are told of messages that are refused.

use domain::guard::Refused;
use domain::mcp::ReadFault;
use domain::mcp::mirror::HeaderMismatch;

use super::Problem;
use crate::code::{Code, ProtocolError};

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Secret(argument) => Self::because(Code::SecretArgument, argument),
            Refused::Unreadable => Self::protocol(ProtocolError::Parse, refused),
        }
    }
}

impl From<ReadFault> for Problem {
    fn from(fault: ReadFault) -> Self {
        let error = match fault {
            ReadFault::NotJson => ProtocolError::Parse,
            ReadFault::NotAnObject | ReadFault::TwoWays(_) | ReadFault::Method | ReadFault::BatchLength => {
                ProtocolError::InvalidRequest
            }
        };
        Self::protocol(error, fault)
    }
}

impl From<HeaderMismatch> for Problem {
    fn from(mismatch: HeaderMismatch) -> Self {
        Self::protocol(ProtocolError::HeaderMismatch, mismatch)
    }
}
