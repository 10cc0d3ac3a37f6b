using System;

using Microsoft.Extensions.Primitives;

namespace Ancm.Server;

/// <summary>The request's <c>Connection</c> as apps know it from Kestrel.</summary>
internal static class ConnectionField
{
    private static readonly string[] s_known = ["keep-alive", "close", "Upgrade"];

    /// <summary>Where exactly one option is known, that is the value; names of fields beside it go.</summary>
    internal static StringValues Spell(StringValues values)
    {
        string? known = null;
        for (var part = 0; part < values.Count; part++)
        {
            var rest = values[part].AsSpan();
            while (!rest.IsEmpty)
            {
                var comma = rest.IndexOf(',');
                var option = (comma < 0 ? rest : rest[..comma]).Trim(" \t");
                rest = comma < 0 ? default : rest[(comma + 1)..];
                foreach (var name in s_known)
                {
                    if (!option.Equals(name, StringComparison.OrdinalIgnoreCase) || ReferenceEquals(name, known))
                    {
                        continue;
                    }

                    if (known is not null)
                    {
                        return values;
                    }

                    known = name;
                }
            }
        }

        return known ?? values;
    }
}
