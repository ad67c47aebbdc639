//! Each rule of `decide`, with the exact code and sentence.
