//! Between text and tokens: tokenizers, text that grows token by token, and chats as text.

mod chat;
mod stream;
mod tokenizer;

pub use chat::{ChatError, ChatTemplate, Message};
pub use stream::TextStream;
pub use tokenizer::{Tokenizer, TokenizerError};
