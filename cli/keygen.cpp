#include <unistd.h>

#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "cli/commands.h"
#include "cli/output.h"
#include "cli/passphrase.h"
#include "format/error.h"
#include "format/key.h"

namespace firn {
namespace {

constexpr char kKeygenFooter[] =
    "Writes the private key to FILE, for its owner alone, and the public key to FILE.pub, which "
    "is\n"
    "for the directories of trusted keys of those who are to trust what it signs. Neither is ever\n"
    "replaced. firn-key(5) has their text.\n"
    "\n"
    "Examples:\n"
    "  firn keygen ~/.config/firn/site.key --name 'Site images' --passphrase\n"
    "  firn keygen ci.key --passphrase-file /run/secrets/firn";

struct KeygenArguments {
  std::string path;
  std::string name;
  std::string passphrase_file;
  bool passphrase = false;
  bool json = false;
};

std::string OwnName() {
  char host[256] = "";
  gethostname(host, sizeof host - 1);
  const char* const user = getenv("USER");
  return std::string(user != nullptr && user[0] != '\0' ? user
                                                        : "uid" + std::to_string(geteuid())) +
         "@" + host;
}

void RunKeygen(const KeygenArguments& arguments) {
  const std::string name = arguments.name.empty() ? OwnName() : arguments.name;
  if (!IsKeyName(name)) {
    throw Error(ErrorKind::kUsage, "expected a name of 1 to 128 printable ASCII characters",
                "Give another one by --name.");
  }
  const bool has_passphrase = arguments.passphrase || !arguments.passphrase_file.empty();
  const std::string passphrase =
      has_passphrase ? TakePassphrase(arguments.passphrase_file, "Passphrase of the new key", true)
                     : std::string();
  const PrivateKey key = PrivateKey::Generate(name);
  WriteKeyPair(key, passphrase, arguments.path);
  const std::string public_path = arguments.path + ".pub";
  if (arguments.json) {
    PrintJson({{"key", FormatKey(key.named().key)},
               {"name", name},
               {"private", arguments.path},
               {"public", public_path},
               {"passphrase", has_passphrase}});
    return;
  }
  std::cout << FormatKey(key.named().key) << '\n'
            << "  private:     " << arguments.path
            << (has_passphrase ? " (opened by the passphrase)" : " (without a passphrase)") << '\n'
            << "  public:      " << public_path << '\n';
}

}  // namespace

void AddKeygenCommand(CLI::App& app, int&) {
  const auto arguments = std::make_shared<KeygenArguments>();
  CLI::App* keygen = app.add_subcommand("keygen", "Make a key that signs images");
  keygen->footer(kKeygenFooter);
  keygen->add_option("FILE", arguments->path, "The private key to write")->required();
  keygen->add_option("--name", arguments->name, "Whose key it is, for people [USER@HOST]")
      ->option_text("TEXT");
  keygen->add_flag("--passphrase", arguments->passphrase,
                   "Ask at the terminal for a passphrase that opens it");
  keygen
      ->add_option("--passphrase-file", arguments->passphrase_file,
                   "Take the passphrase from the first line of this file")
      ->option_text("FILE");
  keygen->add_flag("--json", arguments->json, "Print what was made as JSON");
  keygen->callback([arguments] { RunKeygen(*arguments); });
}

}  // namespace firn
