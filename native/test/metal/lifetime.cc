#include "harness.h"
namespace metaltest { void lifetime() {} }
