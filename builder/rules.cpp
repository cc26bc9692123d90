#include "builder/rules.h"

#include <string>
#include <utility>
#include <vector>

#include "builder/rules/clean.h"
#include "builder/rules/conda_meta.h"
#include "builder/rules/excludes.h"
#include "builder/rules/flatten.h"
#include "builder/rules/leftovers.h"
#include "builder/rules/markers.h"
#include "builder/rules/records.h"
#include "builder/rules/relocate.h"
#include "builder/rules/rule_work.h"
#include "builder/rules/scripts.h"
#include "builder/rules/strip.h"

namespace firn {

// Each rule finds what those before it left. Records come when nothing changes any more what they
// tell of, leftovers when the tree is as it will be.
RulesReport ApplyRules(const RuledTree& tree) {
  const RecipeRules& rules = tree.recipe.rules;
  RuleWork work(tree);
  const std::vector<std::string> places = PlacesOfTree(work);
  if (rules.relocate) Relocate(work, places);
  if (rules.flatten) FlattenVenv(work);
  if (rules.scripts) FreeScripts(work, places);
  if (rules.clean) CleanTree(work, places);
  ApplyExcludes(work);
  if (rules.strip) StripSymbols(work);
  if (rules.markers) PutMarkers(work);
  CorrectRecords(work);
  NormaliseCondaRecords(work, rules.clean);
  ReportLeftovers(work, places);
  return std::move(work.report);
}

}  // namespace firn
