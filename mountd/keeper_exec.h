#ifndef FIRN_MOUNTD_KEEPER_EXEC_H_
#define FIRN_MOUNTD_KEEPER_EXEC_H_

#include <string>

#include "mountd/inheritance.h"

namespace firn {

// Of the program that runs; when it was replaced, of what is there now.
std::string ProgramOnDisk();

// Could the program that is on disk now go on with such an estate? Asks it, with the command line
// of this process; waits some seconds. `directory` is where relative paths on the command line
// start. Throws kNoReply with what it says against it.
void CheckSuccessor(const Estate& estate, const std::string& directory);

// Has this process become the program on disk, with its command line, its process id and the
// estate. Returns only by throwing, kSystem, and then nothing has changed.
[[noreturn]] void ExecSuccessor(Estate estate, const std::string& directory);

// What the program that CheckSuccessor() asks does: throws where it cannot.
void AnswerAsSuccessor(int state_fd);

}  // namespace firn

#endif  // FIRN_MOUNTD_KEEPER_EXEC_H_
