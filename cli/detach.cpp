#include <iostream>
#include <memory>
#include <string>

#include "cli/commands.h"
#include "cli/node.h"
#include "cli/text.h"
#include "mountd/node_client.h"

namespace firn {
namespace {

constexpr char kDetachFooter[] =
    "Ends every lease of that name. The images stay for those who still use them, and linger a\n"
    "while for those who come next.\n"
    "\n"
    "Example:\n"
    "  firn detach --lease job-4711";

}  // namespace

void AddDetachCommand(CLI::App& app, int&) {
  const auto lease = std::make_shared<std::string>();
  CLI::App* detach = app.add_subcommand("detach", "End a lease of 'firn attach'");
  detach->footer(kDetachFooter);
  detach->add_option("--lease", *lease, "Its name")->option_text("NAME")->required();
  detach->callback([lease] {
    const uint64_t ended = ConnectOrThrow().Detach(*lease);
    std::cout << "lease " << Printable(*lease) << " ended (" << ended
              << (ended == 1 ? " image)\n" : " images)\n");
  });
}

}  // namespace firn
