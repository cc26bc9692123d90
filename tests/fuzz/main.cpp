// What libFuzzer calls. It has main(), and its options: firn_fuzz_NAME -help=1.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "format/error.h"
#include "tests/fuzz/fuzz_target.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t* input, size_t size, size_t most);

namespace firn::fuzz {
namespace {

constexpr std::string_view kProgramStart = "firn_fuzz_";

const FuzzTarget* chosen = nullptr;

std::vector<NamedTarget> AllTargets() {
  std::vector<NamedTarget> all;
  for (const auto& targets : {ImageTargets(), TextTargets(), MessageTargets()}) {
    all.insert(all.end(), targets.begin(), targets.end());
  }
  return all;
}

// firn_fuzz_list prints the names, firn_fuzz_seeds DIR writes the seeds of each to DIR/NAME.
void ListTargets() {
  for (const NamedTarget& named : AllTargets()) std::puts(std::string(named.name).c_str());
}

void WriteSeeds(const std::filesystem::path& directory) {
  for (const NamedTarget& named : AllTargets()) {
    std::filesystem::create_directories(directory / named.name);
    for (const Seed& seed : named.target->Seeds()) {
      std::ofstream file(directory / named.name / seed.name, std::ios::binary);
      file.write(reinterpret_cast<const char*>(seed.input.data()),
                 static_cast<std::streamsize>(seed.input.size()));
    }
  }
}

void Choose(const std::string& program) {
  const std::string file = std::filesystem::path(program).filename().string();
  const std::string_view name =
      file.starts_with(kProgramStart) ? std::string_view(file).substr(kProgramStart.size()) : "";
  for (const NamedTarget& named : AllTargets()) {
    if (named.name == name) chosen = named.target;
  }
  if (chosen != nullptr) return;
  std::fprintf(stderr, "%s: expected to be called firn_fuzz_TARGET, with one of these targets:\n",
               program.c_str());
  ListTargets();
  std::exit(2);
}

}  // namespace

size_t MutateBytes(uint8_t* input, size_t size, size_t most) {
  return LLVMFuzzerMutate(input, size, most);
}

}  // namespace firn::fuzz

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
  const std::string program = (*argv)[0];
  if (program.ends_with("firn_fuzz_list")) {
    firn::fuzz::ListTargets();
    std::exit(0);
  }
  if (program.ends_with("firn_fuzz_seeds") && *argc == 2) {
    firn::fuzz::WriteSeeds((*argv)[1]);
    std::exit(0);
  }
  firn::fuzz::Choose(program);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* input, size_t size) {
  try {
    firn::fuzz::chosen->Run({reinterpret_cast<const std::byte*>(input), size});
  } catch (const firn::Error& error) {
    if (error.kind() == firn::ErrorKind::kInternal) throw;
    // For who wants to know what an input is.
    if (std::getenv("FIRN_FUZZ_TELL") != nullptr) std::fprintf(stderr, "%s\n", error.what());
  }
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* input, size_t size, size_t most, unsigned seed) {
  return firn::fuzz::chosen->Mutate(input, size, most, seed);
}

extern "C" size_t LLVMFuzzerCustomCrossOver(const uint8_t* one, size_t one_size,
                                            const uint8_t* other, size_t other_size, uint8_t* out,
                                            size_t most, unsigned seed) {
  const auto bytes = [](const uint8_t* data, size_t size) {
    return firn::ByteSpan(reinterpret_cast<const std::byte*>(data), size);
  };
  return firn::fuzz::chosen->Cross(bytes(one, one_size), bytes(other, other_size),
                                   {reinterpret_cast<std::byte*>(out), most}, seed);
}
