package io.github.regnet_edge

/** One sentence that says what is wrong, and what to do about it. */
open class Failure(sentence: String, cause: Throwable? = null) : Exception(sentence, cause)
