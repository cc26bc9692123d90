#ifndef FIRN_CLI_PASSPHRASE_H_
#define FIRN_CLI_PASSPHRASE_H_

#include <string>

namespace firn {

// The first line of `file`; where that is empty, what the user types at the terminal, twice where
// `confirm` says so. Throws kInput where there is none, or no terminal.
std::string TakePassphrase(const std::string& file, const std::string& prompt, bool confirm);

}  // namespace firn

#endif  // FIRN_CLI_PASSPHRASE_H_
