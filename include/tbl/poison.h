/* SPDX-License-Identifier: Apache-2.0 */
/*
 * X(NAME, "text", "patterns"): what a definition should not hold. The text is
 * for people and stands behind "it ". Patterns are alternatives between " ; ",
 * each a row of words that follow one another in the folded text (lower case,
 * look-alike letters made Latin, punctuation gone, "don't" read as dont):
 *
 *   a|b   one of these words        a~   a word that begins with a
 *   *N    up to N words of any kind
 *   =text these bytes, in the folded text with its punctuation
 *
 * An empty pattern: found in another way (scan/poison.c, or by whoever knows
 * the other definitions). At most 32; the numbers stand in the pin store:
 * new rows go to the end.
 */
X(HIDDEN, "holds invisible characters", "")
X(BIDI, "holds characters that reverse the direction of text", "")
X(TAG, "holds tag characters, which spell a text that nobody sees", "")
X(CONTROL, "holds control characters", "")
X(MIXED, "mixes letters of two scripts that look alike within a word", "")
X(BLOB, "holds a long encoded text", "")
X(OVERRIDE, "tells the model to drop its instructions",
  "ignore|disregard|forget|override|bypass *3 previous|prior|earlier|above|preceding|all|any|your "
  "*2 instruction|instructions|prompt|prompts|guidelines|directives|guardrails ; "
  "from now on *2 you|always|never ; "
  "your new|real|true|actual instructions|instruction|task|goal|purpose *1 is|are")
X(CONCEAL, "tells the model to keep something from the user",
  "not|dont|never *3 tell|inform|notify|alert|mention|reveal|disclose *6 "
  "user|users|human|humans|operator|anyone|anybody ; "
  "without *2 telling|informing|notifying|alerting *3 user|users|human|operator|anyone ; "
  "secret|hidden|invisible|conceal|hide *3 from *2 user|users|human|humans|operator")
X(MARKUP, "holds markup that models take for instructions",
  "=<important> ; =</important> ; =<system> ; =</system> ; =<secret> ; =<hidden> ; =<|im_start|> ; "
  "=<|system|> ; =[system] ; =[inst] ; =<<sys>> ; =<critical> ; =<system_prompt> ; "
  "=<system-reminder>")
X(SENSITIVE, "names files that hold secrets",
  "=~/.ssh ; =/.ssh/ ; =id_rsa ; =id_ed25519 ; =/etc/passwd ; =/etc/shadow ; =.git-credentials ; "
  "=.bash_history ; =.gnupg ; =.cursor/mcp.json ; =claude_desktop_config.json ; =.netrc ; "
  "=/proc/self/environ")
X(EXFILTRATE, "tells the model to pass data on",
  "exfiltrat~ ; "
  "send|upload|forward|transmit|leak|post|include|append|copy *5 "
  "entire|full|whole|complete|previous *3 conversation|chat|dialogue|prompt|context ; "
  "send|upload|transmit|leak|post *5 credentials|passwords|password|secrets ; "
  "send|upload|transmit|leak|post *4 contents|content *2 of *3 env|ssh|credentials|keychain|file "
  "*5 to http|https|attacker ; "
  "read|open|load|cat|get *8 pass|send|put|include|provide *3 its|their|the contents|content *4 "
  "as|in|to sidenote|context|parameter|argument")
X(PERSONA, "gives the model another role",
  "you are now a|an|in|the|no|free ; you *1 must|will now act|behave|pretend ; "
  "developer|debug|god|dan|jailbreak mode *2 enabled|activated")
X(BEHAVIOUR, "changes how other tools are used",
  "change|changes|alter|alters|modify|modifies|replace|replaces *4 "
  "behavior|behaviour|usage|functionality *2 of *3 other|another|all|any|every|these *3 tool|tools "
  "; when *5 tool *3 available|present|installed|loaded *6 must|change|modify|replace ; "
  "before|whenever|when *3 using|calling|invoking|use|call *2 any|every|all|each *2 other *1 "
  "tool|tools *8 must|first|always|read|send")
X(EXECUTE, "holds a command that runs what it fetches",
  "=| bash ; =|bash ; =| sh ; =|sh ; =$(curl ; =$(wget ; =`curl ; =rm -rf /")
X(MENTIONS, "speaks of a tool of another server", "")
X(CROWDED, "speaks of more names than can be checked", "")
X(NAME, "belongs to a server whose name is not the registered one", "")
X(VERSION, "belongs to a server whose version is not the registered one", "")
