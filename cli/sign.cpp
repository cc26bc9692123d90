#include "format/sign_image.h"

#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "builder/interrupt.h"
#include "cli/commands.h"
#include "cli/image_file.h"
#include "cli/output.h"
#include "cli/passphrase.h"
#include "cli/progress.h"
#include "format/digest.h"
#include "format/key.h"

namespace firn {
namespace {

constexpr char kSignFooter[] =
    "Signs the image id, which covers every byte of the image. The signature goes into the image,\n"
    "behind what the id covers, so that the id stays the same, or with --detached into IMAGE.sig.\n"
    "The image is written anew and then takes its name: who has it open keeps what is open.\n"
    "\n"
    "Examples:\n"
    "  firn sign science.firn --key site.key\n"
    "  firn sign --detached science.firn --key ci.key --passphrase-file /run/secrets/firn\n"
    "  firn verify science.firn --trusted-keys /etc/firn/keys";

struct SignArguments {
  std::string image;
  std::string key;
  std::string passphrase_file;
  SignOptions options;
  bool json = false;
  bool quiet = false;
};

void PrintSummary(const SignArguments& arguments, const SignSummary& summary, const NamedKey& key) {
  if (arguments.json) {
    PrintJson({{"image", arguments.image},
               {"id", FormatImageId(summary.id)},
               {"key", FormatKey(key.key)},
               {"name", key.name},
               {"written", summary.written},
               {"new", summary.is_new},
               {"signatures", summary.signatures}});
  } else if (!arguments.quiet) {
    std::cout << summary.written << ": "
              << (summary.is_new ? "signed by " : "was signed already by ") << key.name << '\n'
              << "  key:         " << FormatKey(key.key) << '\n'
              << "  id:          " << FormatImageId(summary.id) << '\n';
  }
}

void RunSign(const SignArguments& arguments) {
  FileDescriptor image = OpenImageFile(arguments.image);
  const PrivateKey key = PrivateKey::Read(arguments.key, [&] {
    return TakePassphrase(arguments.passphrase_file, "Passphrase of " + arguments.key, false);
  });
  SignSummary summary;
  {
    const InterruptGuard guard;
    ProgressBar bar(!arguments.quiet && !arguments.json);
    SignOptions options = arguments.options;
    options.progress = [&](uint64_t done, uint64_t total) {
      ThrowIfInterrupted();
      bar.Update("copying", done, total, ProgressBar::Unit::kBytes);
    };
    summary = SignImage(std::move(image), arguments.image, key, options);
  }
  PrintSummary(arguments, summary, key.named());
}

}  // namespace

void AddSignCommand(CLI::App& app, int&) {
  const auto arguments = std::make_shared<SignArguments>();
  CLI::App* sign = app.add_subcommand("sign", "Sign an image");
  sign->footer(kSignFooter);
  sign->add_option("IMAGE", arguments->image, "The image file")->required();
  sign->add_option("--key", arguments->key, "The private key ('firn keygen')")
      ->option_text("FILE")
      ->required();
  sign->add_option("--passphrase-file", arguments->passphrase_file,
                   "Take the key's passphrase from the first line of this file [asked for]")
      ->option_text("FILE");
  sign->add_flag("--detached", arguments->options.detached,
                 "Write the signature to IMAGE.sig and leave the image alone");
  sign->add_flag("--discard", arguments->options.discard,
                 "Drop the signatures that are there, instead of adding to them");
  sign->add_flag("--json", arguments->json, "Print what was done as JSON");
  sign->add_flag("-q,--quiet", arguments->quiet, "Print errors only");
  sign->callback([arguments] { RunSign(*arguments); });
}

}  // namespace firn
