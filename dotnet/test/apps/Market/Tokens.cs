using System.Security.Claims;

using Microsoft.AspNetCore.Authentication.BearerToken;

namespace Market;

/// <summary>Who has logged in shows a token.</summary>
internal static class Tokens
{
    internal static void Map(WebApplication app)
    {
        app.MapPost("/login", (string name) => Results.SignIn(
            new ClaimsPrincipal(new ClaimsIdentity(
                [new Claim(ClaimTypes.Name, name)], BearerTokenDefaults.AuthenticationScheme)),
            authenticationScheme: BearerTokenDefaults.AuthenticationScheme));
        app.MapGet("/me", (ClaimsPrincipal user) => user.Identity!.Name).RequireAuthorization();
        app.MapGet("/admin", () => "never").RequireAuthorization(policy => policy.RequireRole("admin"));
    }
}
