package client

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/go-hclog"
)

// logged writes a plugin's line to a log, at the level that the line itself
// gives as hclog's JSON or in brackets at the beginning; otherwise info. It
// returns the line in readable form.
func logged(log hclog.Logger, line string) string {
	if level, message, args, ok := structured(line); ok {
		log.Log(level, message, args...)
		return rendered(level, message, args)
	}
	level, message := hclog.Info, line
	if isCause(line) {
		level = hclog.Error
	} else if rest, ok := strings.CutPrefix(line, "["); ok {
		if name, text, ok := strings.Cut(rest, "]"); ok {
			if l := hclog.LevelFromString(strings.TrimSpace(name)); l != hclog.NoLevel && l != hclog.Off {
				level, message = l, strings.TrimSpace(text)
			}
		}
	}
	log.Log(level, message)
	return line
}

// structured parses a line of hclog's JSON.
func structured(line string) (level hclog.Level, message string, args []any, ok bool) {
	if !strings.HasPrefix(line, "{") {
		return 0, "", nil, false
	}
	var fields map[string]any
	if json.Unmarshal([]byte(line), &fields) != nil {
		return 0, "", nil, false
	}
	message, ok = fields["@message"].(string)
	if !ok {
		return 0, "", nil, false
	}
	name, _ := fields["@level"].(string)
	if level = hclog.LevelFromString(name); level == hclog.NoLevel {
		level = hclog.Info
	}
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		if !strings.HasPrefix(key, "@") {
			args = append(args, key, fields[key])
		}
	}
	return level, message, args, true
}

func rendered(level hclog.Level, message string, args []any) string {
	text := fmt.Sprintf("[%s] %s", strings.ToUpper(level.String()), message)
	for i := 0; i+1 < len(args); i += 2 {
		text += fmt.Sprintf(" %v=%v", args[i], args[i+1])
	}
	return text
}
