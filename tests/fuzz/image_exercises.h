#ifndef FIRN_TESTS_FUZZ_IMAGE_EXERCISES_H_
#define FIRN_TESTS_FUZZ_IMAGE_EXERCISES_H_

#include "format/file.h"

// What is done with an image that may be anything. Each step takes its refusal and goes on; a file
// or a directory is read in so many steps at most, as programs read them.
namespace firn::fuzz {

// Every inode by its number, and the numbers around the last.
void ReadInodes(FileDescriptor image);
// The tree from its root down; each name looked up again.
void WalkTree(FileDescriptor image);
// The start, the end and the middle of every file.
void ReadFiles(FileDescriptor image);
// Footer, core table, sections.
void ReadAppendix(FileDescriptor image);
void ReadDigests(FileDescriptor image);
void ReadSignatureArea(FileDescriptor image);
// firn verify, and firn verify --deep.
void VerifyImage(FileDescriptor image);
// All of it as a file of another writer.
void ReadForeign(FileDescriptor image);

}  // namespace firn::fuzz

#endif  // FIRN_TESTS_FUZZ_IMAGE_EXERCISES_H_
