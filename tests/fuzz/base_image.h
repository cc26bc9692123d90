#ifndef FIRN_TESTS_FUZZ_BASE_IMAGE_H_
#define FIRN_TESTS_FUZZ_BASE_IMAGE_H_

#include "tests/fuzz/image_parts.h"

namespace firn::fuzz {

// Images that Firn's writer made, each once, to be changed: with something of everything, and with
// a directory that is large enough for an index.
const ImageParts& SmallImage();
const ImageParts& LargeDirectory();

}  // namespace firn::fuzz

#endif  // FIRN_TESTS_FUZZ_BASE_IMAGE_H_
