# fish completion for coracle; in ~/.config/fish/config.fish:  coracle completion fish | source
function __coracle_complete
	set -l words (commandline -opc)
	set -l program $words[1]
	set -e words[1]
	set -l word (commandline -ct)
	set -l lines ($program complete fish -- $words "$word" 2>/dev/null)
	set -l directive $lines[1]
	switch "$directive"
		case files dirs
			__fish_complete_path "$word"
		case '*'
			set -e lines[1]
			for line in $lines
				echo $line
			end
	end
end
complete -c coracle -f -a '(__coracle_complete)'
